import { useState } from 'react';
import { useSteps } from '../../api/definitions';
import type { SagaDefinitionName, SagaStatus, StepName } from '../../api/generated/graphql';
import { count } from '../../pieces/format';
import { Icon } from '../../pieces/icon';
import { iconOf, stateOfSaga } from '../../saga/states';
import { DEFINITIONS, plainName, statusWord } from '../../saga/words';
import { type Asked, WINDOW_DEFAULT, WINDOWS, type Window } from './filter';
import { FlightFilter } from './flight-filter';
import { MemberFilter } from './member-filter';

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
}

/** What narrows the list. Everything of it stands in the URL. */
export function FilterBar({ asked, change, counts }: Props) {
  const [isOpen, setIsOpen] = useState(false);
  return (
    <div className="filters" role="group" aria-label="Filters">
      <Chips asked={asked} change={change} counts={counts} />
      <button
        type="button"
        className="btn more-filters"
        aria-expanded={isOpen}
        onClick={() => setIsOpen((before) => !before)}
      >
        {isOpen ? 'Fewer filters' : 'More filters'}
      </button>
      <div className="fchoices" data-open={isOpen || isChosen(asked) || undefined}>
        <Choices asked={asked} change={change} />
      </div>
    </div>
  );
}

function isChosen({ definition, failed, flight, member, window }: Asked): boolean {
  return definition !== '' || failed !== '' || flight !== '' || member !== '' || window !== WINDOW_DEFAULT;
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
      <FlightFilter flight={asked.flight} onChoose={(flight) => change({ flight })} />
      <MemberFilter member={asked.member} onChoose={(member) => change({ member })} />
      <Choice
        name="Started"
        value={asked.window}
        options={Object.entries(WINDOWS).map(([window, { name }]) => [window, name])}
        onChoose={(value) => change({ window: value as Window, from: '', to: '' })}
      />
      {asked.window === 'between' && <Between asked={asked} change={change} />}
    </>
  );
}

function Chips({ asked, change, counts }: Props) {
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
          onClick={() => change({ status: asked.status === status ? '' : status })}
        >
          <Icon name={iconOf(stateOfSaga(status))} />
          {statusWord(status)} {counts && <b>{count(counts.get(status) ?? 0)}</b>}
        </button>
      ))}
    </div>
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
  return (
    <span className="between">
      <input
        className="input"
        type="datetime-local"
        aria-label="Started from"
        value={asked.from}
        onChange={(event) => change({ from: event.target.value })}
      />
      <span>to</span>
      <input
        className="input"
        type="datetime-local"
        aria-label="Started before"
        value={asked.to}
        onChange={(event) => change({ to: event.target.value })}
      />
    </span>
  );
}
