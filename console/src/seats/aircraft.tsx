import { memo, useCallback, useEffect, useMemo, useRef, useState } from 'react';
import type { CabinClass } from '../api/generated/graphql';
import type { Seat } from '../api/seats.graphql';
import { Flag } from './flag';
import { seatAfter } from './keys';
import { useLie } from './lie';
import { type Claim, isChoosable, type Look, lookOf, spokenOf } from './looks';
import { LETTERS, SECTIONS, seatNumber } from './plan';
import './aircraft.css';

/**
 * The 162 seats of a flight as they stand. A grid with one tab stop: arrows go as the seats are drawn, Home and End
 * along a row, Enter and Space choose. Seats that cannot be chosen can be reached, and say why.
 *
 * `claims`: which seats are yours, by number. `onChoose` is called for a free seat of the cabin, and for a chosen one.
 */
export function Aircraft({
  label,
  seats,
  cabin,
  claims,
  onChoose,
}: {
  label: string;
  seats: ReadonlyMap<string, Seat>;
  cabin: CabinClass;
  claims: ReadonlyMap<string, Claim>;
  onChoose: (number: string) => void;
}) {
  const lie = useLie();
  const grid = useRef<HTMLDivElement>(null);
  const [visited, setVisited] = useState<string | null>(null);
  const stop = visited ?? firstStop(seats, claims, cabin);
  const flags = useMemo(() => flagsOf(seats), [seats]);
  const latest = useRef(onChoose);
  useEffect(() => {
    latest.current = onChoose;
  });
  const choose = useCallback((number: string) => latest.current(number), []);

  const move = (event: React.KeyboardEvent): void => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const from = (event.target as HTMLElement).dataset;
    if (from.row === undefined || from.letter === undefined) return;
    const next = seatAfter(event.key, { row: Number(from.row), letter: from.letter }, lie);
    if (next === null) return;
    event.preventDefault();
    setVisited(next);
    grid.current?.querySelector<HTMLElement>(`[data-number="${next}"]`)?.focus();
  };

  return (
    <div className="deck">
      <div className="fuselage" role="grid" aria-label={label} aria-busy={seats.size === 0} ref={grid} onKeyDown={move}>
        {SECTIONS.map((section) => (
          <div
            key={section.className}
            className={`cabin ${section.className}`}
            role="rowgroup"
            aria-label={section.name}
          >
            <b aria-hidden="true">{section.name}</b>
            {section.rows.map((row) => (
              <div key={row} className={section.className === 'economy' ? 'srow' : 'srow wide'} role="row">
                {LETTERS.map((letter) => {
                  const number = seatNumber(row, letter);
                  const seat = seats.get(number);
                  const claim = claims.get(number);
                  return (
                    <SeatCell
                      key={number}
                      row={row}
                      letter={letter}
                      look={lookOf(seat, claim)}
                      passenger={claim?.passenger ?? null}
                      spoken={spokenOf(number, seat, claim, cabin)}
                      isElsewhere={seat !== undefined && !seat.cabinClasses.includes(cabin)}
                      isChoosable={isChoosable(seat, claim, cabin)}
                      isStop={number === stop}
                      onVisit={setVisited}
                      onChoose={choose}
                    />
                  );
                })}
                <span className="row-number" aria-hidden="true">
                  {row}
                </span>
                {flags.has(row) && <Flag until={flags.get(row) ?? ''} />}
              </div>
            ))}
          </div>
        ))}
      </div>
    </div>
  );
}

interface SeatCellProps {
  readonly row: number;
  readonly letter: string;
  readonly look: Look;
  readonly passenger: number | null;
  readonly spoken: string;
  readonly isElsewhere: boolean;
  readonly isChoosable: boolean;
  readonly isStop: boolean;
  readonly onVisit: (number: string) => void;
  readonly onChoose: (number: string) => void;
}

/** Drawn anew only where it differs: one of 162. */
const SeatCell = memo(function SeatCell(props: SeatCellProps) {
  const { row, letter, look, passenger, isElsewhere } = props;
  const number = seatNumber(row, letter);
  return (
    <button
      type="button"
      className="seat"
      role="gridcell"
      data-number={number}
      data-row={row}
      data-letter={letter}
      data-seat={look}
      data-out={(isElsewhere && look === 'free') || undefined}
      tabIndex={props.isStop ? 0 : -1}
      aria-label={props.spoken}
      aria-selected={passenger !== null}
      aria-disabled={!props.isChoosable}
      onFocus={() => props.onVisit(number)}
      onClick={() => props.isChoosable && props.onChoose(number)}
    >
      {passenger}
    </button>
  );
});

/** Where Tab leads to first: a seat of yours, else the first that can be chosen. */
function firstStop(seats: ReadonlyMap<string, Seat>, claims: ReadonlyMap<string, Claim>, cabin: CabinClass): string {
  const [mine] = claims.keys();
  if (mine !== undefined) return mine;
  for (const [number, seat] of seats) if (isChoosable(seat, undefined, cabin)) return number;
  return '4A';
}

/** A flag a hold, not a seat: held seats that lapse together share one, at the first row that has them. */
function flagsOf(seats: ReadonlyMap<string, Seat>): ReadonlyMap<number, string> {
  const flags = new Map<number, string>();
  const seen = new Set<string>();
  for (const { row, holdExpiresAt } of [...seats.values()].sort((a, b) => a.row - b.row)) {
    if (holdExpiresAt === null || seen.has(holdExpiresAt)) continue;
    seen.add(holdExpiresAt);
    if (!flags.has(row) || holdExpiresAt < (flags.get(row) ?? '')) flags.set(row, holdExpiresAt);
  }
  return flags;
}
