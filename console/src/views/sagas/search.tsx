import { useEffect, useId, useRef, useState } from 'react';
import { useLocation } from 'wouter';
import type { SuggestedQuery } from '../../api/generated/graphql';
import { read } from '../../api/read';
import { Suggested } from '../../api/sagas.graphql';
import { Icon } from '../../pieces/icon';
import { AirportTime, Time } from '../../pieces/times';
import { statusWord } from '../../saga/words';
import type { Asked } from './filter';

const SUGGESTED_MAX = 8;
/** Who types faster than this is not asked for each letter. */
const PAUSE_MS = 150;

type Hit = NonNullable<SuggestedQuery['search']>[number];

/**
 * One box for IDs or their beginning, references, names, flights and members. It suggests while one types; Enter lists
 * all that is found. `/` comes here from anywhere on the page, Escape empties it.
 */
export function Search({ q, change }: { q: string; change: (changes: Partial<Asked>) => void }) {
  const [text, setText] = useState(q);
  const [isOpen, setIsOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const [, go] = useLocation();
  const field = useRef<HTMLInputElement>(null);
  const list = useId();
  const hits = useSuggestions(isOpen ? text.trim() : '');
  useEffect(() => setText(q), [q]);
  useEffect(() => {
    const focus = (event: KeyboardEvent): void => {
      if (event.key !== '/' || isTyping(event)) return;
      event.preventDefault();
      field.current?.select();
    };
    addEventListener('keydown', focus);
    return () => removeEventListener('keydown', focus);
  }, []);
  const close = (): void => {
    setIsOpen(false);
    setActive(-1);
  };
  const clear = (): void => {
    setText('');
    close();
    if (q !== '') change({ q: '' });
  };
  const choose = (hit: Hit): void => {
    close();
    setText('');
    const to = targetOf(hit);
    if (typeof to === 'string') go(to);
    else change(to);
  };
  const move = (event: React.KeyboardEvent, by: number): void => {
    if (hits.length === 0) return;
    event.preventDefault();
    setActive((before) => (before + by + hits.length + (before < 0 && by < 0 ? 1 : 0)) % hits.length);
  };
  const chosen = hits[active];
  const isShown = isOpen && hits.length > 0;
  return (
    <form
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        if (chosen !== undefined) return choose(chosen);
        close();
        change({ q: text.trim() });
      }}
      onBlur={({ currentTarget, relatedTarget }) => !currentTarget.contains(relatedTarget) && close()}
    >
      <label className="with-icon find">
        <Icon name="search" />
        <span className="vh">Find by an ID or its beginning, a reference, a name, a flight or a member</span>
        <input
          className="input"
          type="search"
          role="combobox"
          aria-expanded={isShown}
          aria-controls={isShown ? list : undefined}
          aria-activedescendant={isShown && active >= 0 ? `${list}-${active}` : undefined}
          aria-autocomplete="list"
          ref={field}
          placeholder="ID, reference, name, flight, member"
          autoComplete="off"
          spellCheck={false}
          maxLength={200}
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            setIsOpen(event.target.value.trim() !== '');
            setActive(-1);
            if (event.target.value === '') clear();
          }}
          onKeyDown={(event) => {
            if (event.key === 'Escape') clear();
            if (event.key === 'ArrowDown') move(event, 1);
            if (event.key === 'ArrowUp') move(event, -1);
          }}
        />
      </label>
      {isShown && (
        <div className="departures suggested" id={list} role="listbox" aria-label="Suggestions">
          {hits.map((hit, index) => (
            <div
              key={keyOf(hit)}
              id={`${list}-${index}`}
              role="option"
              tabIndex={-1}
              aria-selected={index === active}
              // Before the field loses the focus, and the list with it.
              onMouseDown={(event) => {
                event.preventDefault();
                choose(hit);
              }}
            >
              <Said hit={hit} />
            </div>
          ))}
        </div>
      )}
    </form>
  );
}

/** The page of a saga; of a flight or a member, all its sagas. */
function targetOf(hit: Hit): string | Partial<Asked> {
  switch (hit.__typename) {
    case 'Saga':
      return `/saga/${hit.correlationId}`;
    case 'Booking':
      return `/saga/${hit.saga.correlationId}`;
    case 'Flight':
      return { q: '', flight: hit.id, window: 'any' };
    case 'LoyaltyAccount':
      return { q: '', member: hit.memberNumber, window: 'any' };
  }
}

function Said({ hit }: { hit: Hit }) {
  switch (hit.__typename) {
    case 'Saga':
      return (
        <>
          <span className="quiet">Saga</span> <span className="mono">{hit.correlationId.slice(0, 13)}</span>{' '}
          {statusWord(hit.status)}, <Time at={hit.startedAt} />
        </>
      );
    case 'Booking':
      return (
        <>
          <span className="quiet">Booking</span> <span className="mono">{hit.reference}</span>{' '}
          {hit.passengers.map(({ familyName }) => familyName).join(', ')}
        </>
      );
    case 'Flight':
      return (
        <>
          <span className="quiet">Flight</span> <span className="mono">{hit.number}</span> {hit.origin.code}{' '}
          {hit.destination.code}, <AirportTime at={hit.departsAt} timeZone={hit.origin.timeZone} day />
        </>
      );
    case 'LoyaltyAccount':
      return (
        <>
          <span className="quiet">Member</span> <span className="mono">{hit.memberNumber}</span> {hit.name}
        </>
      );
  }
}

function keyOf(hit: Hit): string {
  return hit.__typename === 'LoyaltyAccount' ? hit.memberNumber : hit.id;
}

/** What the server finds for the text, a moment after it was typed. */
function useSuggestions(text: string): readonly Hit[] {
  const [found, setFound] = useState<{ text: string; hits: readonly Hit[] }>({ text: '', hits: [] });
  useEffect(() => {
    if (text.length < 2) return undefined;
    let isWanted = true;
    const timer = setTimeout(async () => {
      const { data } = await read(Suggested, { text, first: SUGGESTED_MAX });
      if (isWanted) setFound({ text, hits: data?.search ?? [] });
    }, PAUSE_MS);
    return () => {
      isWanted = false;
      clearTimeout(timer);
    };
  }, [text]);
  return text.length < 2 || !text.startsWith(found.text) ? [] : found.hits;
}

/** Whether a key is meant for a field, or goes with Control and the like. */
export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement;
  return event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName);
}
