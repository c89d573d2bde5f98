import { useNow } from '../api/clock';
import { useSteps } from '../api/definitions';
import type { SagaOnLine, SagaStep } from '../api/saga.graphql';
import { dueAt } from '../pieces/due';
import { between, duration, sentence } from '../pieces/format';
import { Icon } from '../pieces/icon';
import { Countdown } from '../pieces/times';
import { iconOf, type StateName, spins } from './states';
import { type Station, stationsOf } from './stations';
import { plainName } from './words';
import './states.css';
import './line.css';

/**
 * The saga as a line: its steps as stations out above, their compensations as stations back beneath, and the loop
 * where it turned round. Stations come from the saga, however many there are. Rows have fixed heights.
 */
export function Line({ saga }: { saga: SagaOnLine }) {
  const stations = stationsOf(saga);
  const intents = new Map<string, string>(useSteps().map((step) => [step.name, step.description]));
  const isOneWay = stations.every((station) => station.back === null);
  return (
    <ol className="line" data-one-way={isOneWay || undefined} aria-label="Steps and their compensations">
      {stations.map((station) => (
        <StationItem
          key={station.step.id}
          station={station}
          saga={saga}
          intent={intents.get(station.step.name) ?? ''}
        />
      ))}
    </ol>
  );
}

/** `intent`: what the step will do, where it has not been reached. */
function StationItem({ station, saga, intent }: { station: Station; saga: SagaOnLine; intent: string }) {
  const { step, out, back } = station;
  return (
    <li className="station" data-turn={station.turns || undefined} data-step={step.name}>
      <h3>
        {plainName(step.name)} <span className="api">{step.name}</span>
      </h3>
      <Node way="out" state={out} />
      <p className="said" data-s={out === 'abandoned' ? out : undefined}>
        <span className="vh">{SPOKEN[out]}. </span>
        <b>{out === 'abandoned' ? 'given up' : <Timing step={step} until={saga.awaiting?.until ?? null} />}</b>
        <Said step={step} intent={intent} />
      </p>
      {step.compensation !== null && back !== null && (
        <>
          <Node way="back" state={back} />
          <p className="undo-name" data-s={back}>
            <b>{plainName(step.compensation)}</b> <span className="api">{step.compensation}</span>
            <em>{<UndoWord station={station} saga={saga} />}</em>
          </p>
        </>
      )}
      <span className="rail out" data-r={station.railOut} />
      {back !== null && <span className="rail back" data-r={station.railBack} />}
      <span className="loop" />
    </li>
  );
}

const SPOKEN: Record<StateName, string> = {
  pending: 'Not reached',
  running: 'Running',
  executing: 'Executing',
  retrying: 'Retrying',
  completed: 'Completed',
  failed: 'Failed',
  skipped: 'Skipped',
  compensating: 'Undoing',
  compensated: 'Undone',
  stuck: 'Stuck',
  abandoned: 'Given up',
  held: 'Waiting',
};

function Node({ way, state }: { way: 'out' | 'back'; state: StateName | 'none' }) {
  return (
    <span className={`node ${way}`} data-s={state} aria-hidden="true">
      {state !== 'none' && <Icon name={iconOf(state)} spins={spins(state)} />}
    </span>
  );
}

/** How long it took, or what it waits for; `until`: when the wait of the saga ends. */
function Timing({ step, until }: { step: SagaStep; until: string | null }) {
  const tries = step.attempt > 1 ? `, try ${step.attempt}` : '';
  switch (step.status) {
    case 'PENDING':
      return 'not reached';
    case 'EXECUTING':
      return step.attempt > 1 ? `try ${step.attempt}` : 'now';
    case 'RETRYING':
      return <NextTry of={step} />;
    case 'WAITING':
      return until === null ? (
        'waiting'
      ) : (
        <>
          waiting, <Countdown until={until} /> left
        </>
      );
    case 'STUCK':
      return `stuck after ${step.attempt} tries`;
    case 'SKIPPED':
      return 'not needed';
    default:
      return step.startedAt === null ? '' : duration(between(step.startedAt, step.finishedAt, 0)) + tries;
  }
}

function Said({ step, intent }: { step: SagaStep; intent: string }) {
  if (step.status === 'PENDING') return intent;
  if (step.failure !== null && step.status !== 'COMPLETED') {
    return (
      <>
        <strong>{step.failure.message}</strong> <span className="api">{step.failure.code}</span>
      </>
    );
  }
  return sentence(step.summary ?? '');
}

function UndoWord({ station, saga }: { station: Station; saga: SagaOnLine }) {
  const { step, back } = station;
  const { undo } = step;
  if (back === 'none') return saga.status === 'COMPLETED' ? 'not needed' : 'nothing to undo';
  if (undo === null) return 'if needed';
  switch (undo.status) {
    case 'PENDING': {
      const before = saga.steps.findLast((other) => other.index > step.index && isUnderWay(other));
      return before?.undo ? `waits for ${plainName(before.undo.name)}` : 'next';
    }
    case 'EXECUTING':
      return `executing, try ${undo.attempt}`;
    case 'RETRYING':
      return <NextTry of={undo} />;
    case 'STUCK':
      return `stuck after ${undo.attempt} tries`;
    case 'SKIPPED':
      return 'given up';
    default: {
      const took = undo.startedAt === null ? 0 : between(undo.startedAt, undo.finishedAt, 0);
      return <span title={undo.summary ?? undefined}>{took < 1 ? 'undone' : `undone in ${duration(took)}`}</span>;
    }
  }
}

function isUnderWay({ undo }: SagaStep): boolean {
  return undo !== null && undo.status !== 'COMPLETED' && undo.status !== 'SKIPPED';
}

/** "Try 3 in 00:04", then "Try 3 now"; "Try 3 is in line" where it waits for a place among the calls. */
function NextTry({ of }: { of: { readonly attempt: number; readonly nextAttemptAt: string | null } }) {
  const due = dueAt(of.nextAttemptAt, useNow());
  const attempt = of.attempt + 1;
  if (of.nextAttemptAt === null || due === 'in line') return <>try {attempt} is in line</>;
  if (due === 'now') return <>try {attempt} now</>;
  return (
    <>
      try {attempt} in <Countdown until={of.nextAttemptAt} />
    </>
  );
}
