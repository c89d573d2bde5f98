import { useRef, useState } from 'react';
import { Link } from 'wouter';
import { useNow } from '../../api/clock';
import type { Saga, SagaEvent } from '../../api/saga.graphql';
import { age } from '../../operator/age';
import { NextTry } from '../../operator/next-try';
import { type Said, SaidBack } from '../../operator/said-back';
import { type Stuck, stuckOf } from '../../operator/stuck';
import { between, duration, money, plural } from '../../pieces/format';
import { Countdown, Time } from '../../pieces/times';
import { SagaBadge } from '../../saga/badge';
import { givenUpIn, leftBehind } from '../../saga/given-up';
import { sentenceOf } from '../../saga/sentence';
import { Actions } from './actions';

/** What is going on, in a sentence and one more line; and what a person can do about it. */
export function Top({ saga, events }: { saga: Saga; events: readonly SagaEvent[] }) {
  const [said, setSaid] = useState<Said | null>(null);
  const stuck = stuckOf(saga);
  const top = useRef<HTMLElement>(null);
  const hear = (heard: Said): void => {
    setSaid(heard);
    // The button that was pressed may go away.
    if (heard.tone === 'ok') top.current?.focus({ preventScroll: true });
  };
  return (
    <section className={stuck ? 'panel top hazard' : 'panel top'} aria-labelledby="sentence" tabIndex={-1} ref={top}>
      <div>
        <div className="lead">
          <SagaBadge saga={saga} />
          <h1 id="sentence" aria-live="polite">
            {sentenceOf(saga)}
          </h1>
        </div>
        <p>{stuck ? <StuckLine saga={saga} stuck={stuck} /> : <Took saga={saga} />}</p>
        {saga.awaiting && <Awaited saga={saga} until={saga.awaiting.until} />}
        <LeftBehind saga={saga} events={events} />
        <SaidBack said={said} />
      </div>
      <Actions saga={saga} stuck={stuck} onSaid={hear} />
    </section>
  );
}

function StuckLine({ saga, stuck }: { saga: Saga; stuck: Stuck }) {
  const now = useNow();
  const tries = plural(stuck.attempt, 'try', 'tries');
  const held = saga.reservations.filter(({ status, expiresAt }) => status === 'HELD' && Date.parse(expiresAt) > now);
  return (
    <>
      {stuck.why} {stuck.since === null ? '' : `Stuck for ${age(stuck.since, now)}, `}
      {tries}. <AtStake saga={saga} />
      {held[0] && (
        <>
          {plural(held.length, 'seat')} still held, until <Time at={held[0].expiresAt} />.{' '}
        </>
      )}
      {stuck.nextAttemptAt !== null && <NextTry at={stuck.nextAttemptAt} />}
    </>
  );
}

/** What somebody loses if nobody does anything more. */
function AtStake({ saga: { atStake } }: { saga: Saga }) {
  if (atStake === null) return null;
  const { money: sum, points, seats } = atStake;
  const parts = [
    ...(sum === null ? [] : [money(sum)]),
    ...(points > 0 ? [plural(points, 'point')] : []),
    ...(seats > 0 ? [plural(seats, 'seat')] : []),
  ];
  return <b className="at-stake">{parts.join(', ')} at stake. </b>;
}

/** What an operator gave up, what it left behind, who did it and why; then how it was settled. */
export function LeftBehind({ saga, events }: { saga: Saga; events: readonly SagaEvent[] }) {
  const givenUp = givenUpIn(saga, events);
  if (givenUp.length === 0) return null;
  const { settlement } = saga;
  return (
    <div className="left-behind" data-settled={settlement !== null || undefined}>
      {settlement === null && leftBehind(saga).map((said) => <strong key={said}>{said}</strong>)}
      {givenUp.map(({ name, event }) => (
        <p key={name}>
          {name} was given up
          {event !== null && (
            <>
              {' '}
              by {byWhom(event.actor)}, <Time at={event.at} />: {reasonOf(event)}
            </>
          )}
        </p>
      ))}
      {settlement !== null && (
        <p>
          <b>Settled</b> by {byWhom(settlement.by)}, <Time at={settlement.at} />: {settlement.how}
        </p>
      )}
    </div>
  );
}

function byWhom(actor: SagaEvent['actor']): string {
  if (actor === null) return 'an operator';
  return actor.subject ?? `the ${actor.role.toLowerCase()}`;
}

/** The message is "REFUND_PAYMENT skipped: reason". */
function reasonOf({ message }: SagaEvent): string {
  return message.replace(/^\w+ skipped: /, '');
}

function Awaited({ saga, until }: { saga: Saga; until: string }) {
  return (
    <p>
      <Countdown until={until} about="Time to pay" /> left to pay, then the seats are released.{' '}
      <Link href={`/saga/test/${saga.correlationId}`}>Pay for it</Link>
    </p>
  );
}

function Took({ saga }: { saga: Saga }) {
  const now = useNow();
  const why = saga.failure?.message;
  return (
    <>
      {why !== undefined && `${why} `}Started <Time at={saga.startedAt} />,{' '}
      {saga.finishedAt === null
        ? `${age(saga.startedAt, now)} so far.`
        : `took ${duration(between(saga.startedAt, saga.finishedAt, now))}.`}
    </>
  );
}
