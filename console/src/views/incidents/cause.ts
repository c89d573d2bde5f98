import type { SagaFilter } from '../../api/generated/graphql';
import type { Incident } from '../../api/incidents.graphql';
import { plainName } from '../../saga/words';

/** Incidents are told apart by it. */
export function keyOf({ status, step, compensation, failureCode }: Incident): string {
  return [status, compensation ?? step ?? '', failureCode].join('.');
}

/** Where the sagas stand, in a sentence. */
export function placeOf({ status, step, compensation }: Incident): string {
  if (step === null) return 'Parked: this release cannot read the sagas.';
  if (status === 'PARKED') return `Parked at ${plainName(step)}.`;
  return `${plainName(compensation ?? step)} keeps failing.`;
}

/** The filter that its sagas meet, and no others. A parked saga stands at its step in either direction. */
export function filterOf({ status, step, compensation, failureCode }: Incident): SagaFilter {
  return {
    status: [status],
    stuckWith: [failureCode],
    ...(step === null ? { isPlaceKnown: false } : { stuckAt: step }),
    ...(status === 'STUCK' && step !== null && { isUndoing: compensation !== null }),
  };
}
