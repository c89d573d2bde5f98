import { useId, useRef, useState } from 'react';
import { Link } from 'wouter';
import { useNow } from '../../api/clock';
import type { StuckRow } from '../../api/sagas.graphql';
import { age } from '../../operator/age';
import { NextTry } from '../../operator/next-try';
import { RetryButton } from '../../operator/retry-button';
import { type Said, SaidBack } from '../../operator/said-back';
import { SkipForm } from '../../operator/skip-form';
import { type Stuck, stuckOf } from '../../operator/stuck';
import { ShortId } from '../../pieces/correlation-id';
import { plural } from '../../pieces/format';
import { SagaBadge } from '../../saga/badge';
import { MiniLine } from '../../saga/mini-line';
import { sentenceOf } from '../../saga/sentence';
import { definitionWord } from '../../saga/words';

/** A saga that needs a person, and what a person can do; once it goes on, quiet, what became of it. */
export function StuckCard({ saga }: { saga: StuckRow }) {
  const [said, setSaid] = useState<Said | null>(null);
  const [isSkipping, setIsSkipping] = useState(false);
  const card = useRef<HTMLElement>(null);
  const hear = (heard: Said): void => {
    setSaid(heard);
    // The buttons go away with what was stuck.
    if (heard.tone === 'ok') card.current?.focus({ preventScroll: true });
  };
  const opener = useRef<HTMLButtonElement>(null);
  const form = useId();
  const stuck = stuckOf(saga);
  const close = (): void => {
    setIsSkipping(false);
    opener.current?.focus();
  };
  return (
    <article
      className={stuck ? 'panel attn hazard' : 'panel attn'}
      aria-label={`Saga ${saga.correlationId}`}
      tabIndex={-1}
      ref={card}
    >
      <SagaBadge saga={saga} />
      <div className="what">
        <h2>
          <Link href={`/saga/${saga.correlationId}`} data-row>
            {stuck ? `${sentenceOf(saga)} ${stuck.why}` : sentenceOf(saga)}
          </Link>
        </h2>
        <p>
          <ShortId id={saga.correlationId} /> · {definitionWord(saga.definition)} · {flightsSaid(saga)} ·{' '}
          {plural(saga.passengers.length, 'passenger')}
          {seatsSaid(saga)}
          {stuck && <Tries stuck={stuck} />}
        </p>
        <SaidBack said={said} />
      </div>
      <MiniLine saga={saga} />
      <p className="due">{stuck?.nextAttemptAt && <NextTry at={stuck.nextAttemptAt} />}</p>
      <div className="words">
        {stuck && (
          <>
            <RetryButton saga={saga} onSaid={hear} />
            <button
              type="button"
              className="btn"
              ref={opener}
              aria-expanded={isSkipping}
              aria-controls={isSkipping ? form : undefined}
              onClick={() => setIsSkipping((before) => !before)}
            >
              Skip with reason
            </button>
          </>
        )}
      </div>
      {stuck && isSkipping && <SkipForm saga={saga} stuck={stuck} id={form} onClose={close} onSaid={hear} />}
    </article>
  );
}

function Tries({ stuck }: { stuck: Stuck }) {
  const now = useNow();
  const tries = plural(stuck.attempt, 'try', 'tries');
  return <> · {stuck.since === null ? tries : `${tries} in ${age(stuck.since, now)}`}</>;
}

export function flightsSaid({ flights }: Pick<StuckRow, 'flights'>): string {
  return flights.map(({ number, origin, destination }) => `${number} ${origin.code} ${destination.code}`).join(', ');
}

function seatsSaid({ reservations }: StuckRow): string {
  const held = reservations.filter(({ status }) => status === 'HELD').map(({ seat }) => seat.number);
  if (held.length === 0) return '';
  return held.length === 1 ? `, seat ${held[0]} still held` : `, seats ${held.join(', ')} still held`;
}
