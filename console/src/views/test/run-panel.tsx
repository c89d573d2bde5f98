import { Link } from 'wouter';
import { useNow } from '../../api/clock';
import type { SagaDefinition } from '../../api/definitions.graphql';
import type { Saga } from '../../api/saga.graphql';
import { CorrelationId } from '../../pieces/correlation-id';
import { between, duration } from '../../pieces/format';
import { Badge } from '../../saga/badge';
import { Line } from '../../saga/line';
import { sentenceOf } from '../../saga/sentence';
import { badgeOf } from '../../saga/states';
import { previewOf } from './definition';
import type { Refusal } from './refusal';
import { RefusalNote } from './refusal-note';
import type { Run } from './run';
import '../../saga/headline.css';

/** The run as a sentence and as the line; before any run, the line that would be travelled. */
export function RunPanel({
  run,
  correlationId,
  definition,
  onHold,
}: {
  run: Run;
  correlationId: string | null;
  definition: SagaDefinition;
  /** Asks for the same with payLater. */
  onHold: () => void;
}) {
  const { saga, refusal } = run;
  const { state, word } = saga ? badgeOf(saga) : WITHOUT[situationOf(run, correlationId)].badge;
  return (
    <section className="panel run" id="run" aria-labelledby="sentence">
      <div className="said-now">
        <Badge state={state} word={word} />
        <h2 id="sentence" aria-live="polite">
          {saga ? sentenceOf(saga) : sentenceWithout(run, correlationId)}
        </h2>
        <div className="end">{saga && <Elapsed saga={saga} />}</div>
      </div>
      {refusal === null ? (
        <Line saga={saga ?? previewOf(definition)} />
      ) : (
        <RefusalNote refusal={refusal} onAgain={refusal.isRepeatable ? run.sendAgain : null} onHold={onHold} />
      )}
      <div className="run-foot">
        <span>Correlation ID</span>
        {correlationId === null ? (
          <span className="quiet">each run has its own</span>
        ) : (
          <CorrelationId id={correlationId} />
        )}
        {saga && (
          <Link className="end" href={`/saga/${saga.correlationId}`}>
            Open this saga
          </Link>
        )}
      </div>
    </section>
  );
}

function Elapsed({ saga }: { saga: Saga }) {
  const now = useNow();
  return (
    <>
      <span>{duration(between(saga.startedAt, saga.finishedAt, now))}</span> <span>event {saga.sequence}</span>
    </>
  );
}

type Situation = 'nothing' | 'sending' | 'loading' | 'refused' | 'missing';

const WITHOUT = {
  nothing: { badge: { state: 'pending', word: 'Ready' }, sentence: 'Nothing has run yet.' },
  sending: { badge: { state: 'pending', word: 'Pending' }, sentence: 'Asking for a booking.' },
  loading: { badge: { state: 'pending', word: 'Loading' }, sentence: 'Loading the saga.' },
  refused: { badge: { state: 'failed', word: 'Not booked' }, sentence: 'The request was refused.' },
  missing: { badge: { state: 'skipped', word: 'Not found' }, sentence: 'There is no saga with this correlation ID.' },
} as const;

function situationOf({ refusal, isSending, error }: Run, correlationId: string | null): Situation {
  if (refusal !== null) return 'refused';
  if (error !== null) return 'missing';
  if (isSending) return 'sending';
  return correlationId === null ? 'nothing' : 'loading';
}

function sentenceWithout(run: Run, correlationId: string | null): string {
  const situation = situationOf(run, correlationId);
  if (situation === 'refused') return headOf(run.refusal);
  if (situation === 'missing' && run.error !== null && run.error.code !== 'NOT_FOUND') return run.error.message;
  return WITHOUT[situation].sentence;
}

function headOf(refusal: Refusal | null): string {
  return refusal?.title ?? WITHOUT.refused.sentence;
}
