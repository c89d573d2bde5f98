import type { SagaEvent } from '../api/saga.graphql';

/** Tries of one thing that all failed alike, to be shown as one row. */
export interface Fold {
  readonly key: string;
  readonly events: readonly SagaEvent[];
}

const FOLDED_MIN = 6;
/** What stays in sight at either end of a fold. */
const KEPT = 2;
const TRIES: ReadonlySet<string> = new Set([
  'STEP_STARTED',
  'STEP_RETRYING',
  'COMPENSATION_STARTED',
  'COMPENSATION_RETRYING',
]);

/** Long runs of retries become one fold each, but for the first and the last of them; `opened` stay as they are. */
export function foldRetries(events: readonly SagaEvent[], opened: ReadonlySet<string>): (SagaEvent | Fold)[] {
  return runsOf(events).flatMap((run): (SagaEvent | Fold)[] => {
    const inner = run.slice(KEPT, -KEPT);
    const key = inner[0]?.id;
    if (inner.length < FOLDED_MIN || key === undefined || opened.has(key)) return [...run];
    return [...run.slice(0, KEPT), { key, events: inner }, ...run.slice(-KEPT)];
  });
}

/** Events in runs: each run is one event, or the tries of one step or compensation one after another. */
function runsOf(events: readonly SagaEvent[]): SagaEvent[][] {
  const runs: SagaEvent[][] = [];
  for (const event of events) {
    const run = runs.at(-1);
    const before = run?.at(-1);
    const belongs = before !== undefined && isTry(before) && isTry(event) && isAlike(before, event);
    if (run !== undefined && belongs) run.push(event);
    else runs.push([event]);
  }
  return runs;
}

function isTry(event: SagaEvent): boolean {
  return TRIES.has(event.type);
}

function isAlike(one: SagaEvent, other: SagaEvent): boolean {
  return one.step === other.step && one.compensation === other.compensation;
}
