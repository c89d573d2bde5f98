import type { Job, JobRun } from '../../api/scheduler';
import { count, plural } from '../../pieces/format';
import type { StateName } from '../../saga/states';

interface JobWords {
  readonly name: string;
  /** What a run counts: one, many. */
  readonly affects: readonly [string, string];
  /** What it does to them. */
  readonly did: string;
}

export const EXPIRY_JOB = 'release-expired-reservations';

const JOBS: Readonly<Record<string, JobWords>> = {
  [EXPIRY_JOB]: { name: 'Free lapsed holds', affects: ['seat', 'seats'], did: 'freed' },
  'recover-sagas': { name: 'Take over orphaned sagas', affects: ['saga', 'sagas'], did: 'taken over' },
  'prune-history': { name: 'Prune history', affects: ['record', 'records'], did: 'removed' },
  'reconcile-payments': {
    name: 'Compare payments with the provider',
    affects: ['payment', 'payments'],
    did: 'compared',
  },
  'fill-family-names': { name: 'Make old names findable', affects: ['passenger', 'passengers'], did: 'filled' },
  'extend-demo-timetable': { name: 'Extend the demo timetable', affects: ['flight', 'flights'], did: 'added' },
};

/** The plain name of a job; its own where it is not known here. */
export function nameOf({ id }: Pick<Job, 'id'>): string {
  return JOBS[id]?.name ?? id;
}

/** "3 seats freed", "nothing to do". */
export function affectedOf(job: string, { affected }: JobRun): string {
  if (!affected) return 'nothing to do';
  const words = JOBS[job];
  return words ? `${plural(affected, ...words.affects)} ${words.did}` : count(affected);
}

const OUTCOMES: Readonly<Record<string, { state: StateName; word: string }>> = {
  OK: { state: 'completed', word: 'Done' },
  FAILED: { state: 'failed', word: 'Failed' },
  INTERRUPTED: { state: 'skipped', word: 'Interrupted' },
};

/** What became of a run, as a badge says it. */
export function outcomeOf({ outcome }: JobRun): { state: StateName; word: string } {
  return OUTCOMES[outcome] ?? { state: 'pending', word: outcome };
}

/** "30 s", "5 min", "6 h": an interval, exactly. */
export function interval(seconds: number): string {
  if (seconds >= 3_600 && seconds % 3_600 === 0) return `${seconds / 3_600} h`;
  if (seconds >= 60 && seconds % 60 === 0) return `${seconds / 60} min`;
  return `${seconds} s`;
}
