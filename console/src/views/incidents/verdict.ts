import type { SagaOnLine } from '../../api/saga.graphql';
import { stuckOf } from '../../operator/stuck';

/** What the trial of one saga came to. */
export type Verdict = 'trying' | 'went on' | 'failed again';

/** It failed again once its log went on and it is left to wait for a later try. */
export function verdictOf(saga: SagaOnLine, sequenceBefore: number): Verdict {
  if (saga.status !== 'STUCK' && saga.status !== 'PARKED') return 'went on';
  const stuck = stuckOf(saga);
  const isLeft = saga.status === 'PARKED' || (stuck?.nextAttemptAt ?? null) !== null;
  return saga.sequence > sequenceBefore && isLeft ? 'failed again' : 'trying';
}

/**
 * The first that was not tried; the first of all once each of them was. A saga that failed again stays where it was in
 * the list, and would be tried for ever.
 */
export function nextToTry<Saga extends { correlationId: string }>(
  sagas: readonly Saga[],
  tried: ReadonlySet<string>,
): Saga | undefined {
  return sagas.find(({ correlationId }) => !tried.has(correlationId)) ?? sagas[0];
}
