import type { SagaFilter } from '../../api/generated/graphql';
import type { Incident } from '../../api/incidents.graphql';
import { plainName } from '../../saga/words';

/** The code of sagas that keep none for their place: no filter finds it. */
const CODE_UNKNOWN = 'UNKNOWN';

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

/** The filter that its sagas meet. */
export function filterOf({ status, step, failureCode }: Incident): SagaFilter {
  return {
    status: [status],
    ...(step !== null && { stuckAt: step }),
    ...(failureCode !== CODE_UNKNOWN && { stuckWith: [failureCode] }),
  };
}
