import { useRef, useState } from 'react';
import { Link } from 'wouter';
import { useNow } from '../../api/clock';
import type { Saga } from '../../api/saga.graphql';
import { age } from '../../operator/age';
import { NextTry } from '../../operator/next-try';
import { type Said, SaidBack } from '../../operator/said-back';
import { type Stuck, stuckOf } from '../../operator/stuck';
import { between, duration, plural } from '../../pieces/format';
import { Countdown, Time } from '../../pieces/times';
import { SagaBadge } from '../../saga/badge';
import { sentenceOf } from '../../saga/sentence';
import { Actions } from './actions';

/** What is going on, in a sentence and one more line; and what a person can do about it. */
export function Top({ saga }: { saga: Saga }) {
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
        <SaidBack said={said} />
      </div>
      <Actions saga={saga} stuck={stuck} onSaid={hear} />
    </section>
  );
}

function StuckLine({ saga, stuck }: { saga: Saga; stuck: Stuck }) {
  const now = useNow();
  const tries = plural(stuck.attempt, 'try', 'tries');
  const held = saga.reservations.filter(({ status }) => status === 'HELD');
  return (
    <>
      {stuck.why} {stuck.since === null ? tries : `${tries} in ${age(stuck.since, now)}`}.{' '}
      {held[0] && (
        <>
          {plural(held.length, 'seat')} still held, until <Time at={held[0].expiresAt} />.{' '}
        </>
      )}
      {stuck.nextAttemptAt !== null && <NextTry at={stuck.nextAttemptAt} />}
    </>
  );
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
