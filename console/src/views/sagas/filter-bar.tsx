import { type ReactNode, useState } from 'react';
import { useSteps } from '../../api/definitions';
import type { SagaDefinitionName, SagaStatus, StepName } from '../../api/generated/graphql';
import { count } from '../../pieces/format';
import { Icon } from '../../pieces/icon';
import { inputOf, instantIn, useZone } from '../../pieces/zone';
import { iconOf, stateOfSaga } from '../../saga/states';
import { DEFINITIONS, plainName, statusWord } from '../../saga/words';
import type { InNeed } from './attention';
import { ALL, type Asked, isNarrowed, ORDERS, type Order, WINDOW_DEFAULT, WINDOWS, type Window } from './filter';
import { FlightFilter } from './flight-filter';
import { TextFilter } from './text-filter';

const SHOWN: readonly SagaStatus[] = [
  'STUCK',
  'PARKED',
  'COMPENSATING',
  'RUNNING',
  'WAITING',
  'PENDING',
  'COMPLETED',
  'COMPENSATED',
  'ABANDONED',
];

interface Props {
  readonly asked: Asked;
  readonly change: (changes: Partial<Asked>) => void;
  /** How many sagas have each status; null where that is not known for what is asked for. */
  readonly counts: ReadonlyMap<SagaStatus, number> | null;
  /** Of the statuses that need a person, how many there are of any time. */
  readonly inNeed: InNeed;
}

/** What narrows the list. Everything of it stands in the URL. */
export function FilterBar({ asked, change, counts, inNeed }: Props) {
  // Null: nobody has asked yet. Then what is chosen is in sight; a search chooses nothing.
  const [isAskedFor, setIsAskedFor] = useState<boolean | null>(null);
  const isOpen = isAskedFor ?? (asked.q === '' && isChosen(asked));
  return (
    <div className="filters" role="group" aria-label="Filters">
      <Chips asked={asked} change={change} counts={counts} inNeed={inNeed} />
      <button type="button" className="btn more-filters" aria-expanded={isOpen} onClick={() => setIsAskedFor(!isOpen)}>
        {isOpen ? 'Fewer filters' : 'More filters'}
      </button>
      <div className="fchoices" data-open={isOpen || undefined}>
        <Choices asked={asked} change={change} />
        {(isChosen(asked) || asked.status !== '') && (
          <button
            type="button"
            className="btn plain"
            onClick={() => change({ ...ALL, window: WINDOW_DEFAULT, order: 'newest' })}
          >
            Clear
          </button>
        )}
      </div>
    </div>
  );
}

function isChosen(asked: Asked): boolean {
  const { window, order } = asked;
  return isNarrowed({ ...asked, q: '', status: '' }) || window !== WINDOW_DEFAULT || order !== 'newest';
}

function Choices({ asked, change }: Pick<Props, 'asked' | 'change'>) {
  return (
    <>
      <Choice
        name="Booking"
        any="Any booking"
        value={asked.definition}
        options={Object.entries(DEFINITIONS)}
        onChoose={(value) => change({ definition: value as SagaDefinitionName | '' })}
      />
      <Choice
        name="Failed step"
        any="Any failed step"
        value={asked.failed}
        options={useSteps().map(({ name }) => [name, plainName(name)])}
        onChoose={(value) => change({ failed: value as StepName | '' })}
      />
      <Choice
        name="Stuck at"
        any="Stuck anywhere"
        value={asked.at}
        options={useSteps().map(({ name }) => [name, plainName(name)])}
        onChoose={(value) => change({ at: value as StepName | '' })}
      />
      <TextFilter
        name="Failure code, as PAYMENT_DECLINED"
        placeholder="Any failure"
        value={asked.code}
        onChoose={(code) => change({ code })}
      />
      {asked.with !== '' && (
        <Chosen onClear={() => change({ with: '' })} clear="Stuck with anything">
          Stuck with <span className="mono">{asked.with}</span>
        </Chosen>
      )}
      {asked.unsettled !== '' && (
        <Chosen onClear={() => change({ unsettled: '' })} clear="Settled ones, too">
          Not settled
        </Chosen>
      )}
      <FlightFilter flight={asked.flight} onChoose={(flight) => change({ flight })} />
      <TextFilter
        name="Member, as SS0000001"
        placeholder="Any member"
        value={asked.member}
        onChoose={(member) => change({ member })}
      />
      <Choice
        name="Started"
        value={asked.window}
        options={Object.entries(WINDOWS).map(([window, { name }]) => [window, name])}
        onChoose={(value) => change({ window: value as Window, from: '', to: '' })}
      />
      <Choice
        name="Order"
        value={asked.order}
        options={Object.entries(ORDERS).map(([order, { name }]) => [order, name])}
        onChoose={(value) => change({ order: value as Order })}
      />
      {asked.window === 'between' && <Between asked={asked} change={change} />}
    </>
  );
}

function Chips({ asked, change, counts, inNeed }: Props) {
  const all = counts && [...counts.values()].reduce((sum, number) => sum + number, 0);
  return (
    <div className="fchips">
      <button type="button" className="fchip" aria-pressed={asked.status === ''} onClick={() => change({ status: '' })}>
        All {all !== null && <b>{count(all)}</b>}
      </button>
      {SHOWN.map((status) => (
        <button
          type="button"
          className="fchip"
          key={status}
          data-s={stateOfSaga(status)}
          aria-pressed={asked.status === status}
          onClick={() => change(asked.status === status ? { status: '' } : asksFor(status, inNeed))}
        >
          <Icon name={iconOf(stateOfSaga(status))} />
          {statusWord(status)} {counts && <b>{count(inNeed?.get(status) ?? counts.get(status) ?? 0)}</b>}
        </button>
      ))}
    </div>
  );
}

/** A saga that needs a person is shown whenever it started. */
function asksFor(status: SagaStatus, inNeed: InNeed): Partial<Asked> {
  return inNeed?.has(status) ? { status, window: 'any' } : { status };
}

function Chosen({ clear, onClear, children }: { clear: string; onClear: () => void; children: ReactNode }) {
  return (
    <button type="button" className="btn chosen" onClick={onClear} title={clear}>
      {children}
      <Icon name="close" />
      <span className="vh">{clear}</span>
    </button>
  );
}

function Choice({
  name,
  any,
  value,
  options,
  onChoose,
}: {
  name: string;
  any?: string;
  value: string;
  options: readonly (readonly [string, string])[];
  onChoose: (value: string) => void;
}) {
  return (
    <select
      className="input"
      aria-label={name}
      value={value}
      data-set={(any !== undefined && value !== '') || undefined}
      onChange={(event) => onChoose(event.target.value)}
    >
      {any !== undefined && <option value="">{any}</option>}
      {options.map(([option, word]) => (
        <option key={option} value={option}>
          {word}
        </option>
      ))}
    </select>
  );
}

function Between({ asked, change }: Pick<Props, 'asked' | 'change'>) {
  const zone = useZone();
  return (
    <span className="between">
      <input
        className="input"
        type="datetime-local"
        aria-label="Started from"
        value={inputOf(asked.from, zone)}
        onChange={(event) => change({ from: instantIn(event.target.value, zone) })}
      />
      <span>to</span>
      <input
        className="input"
        type="datetime-local"
        aria-label="Started before"
        value={inputOf(asked.to, zone)}
        onChange={(event) => change({ to: instantIn(event.target.value, zone) })}
      />
    </span>
  );
}
