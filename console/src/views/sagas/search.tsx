import { useEffect, useRef, useState } from 'react';
import { Icon } from '../../pieces/icon';

/** Finds on Enter; `/` comes here from anywhere on the page, Escape empties it. */
export function Search({ q, onSearch }: { q: string; onSearch: (q: string) => void }) {
  const [text, setText] = useState(q);
  const field = useRef<HTMLInputElement>(null);
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
  return (
    <form
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        onSearch(text.trim());
      }}
    >
      <label className="with-icon find">
        <Icon name="search" />
        <span className="vh">Find a saga by its correlation ID or booking reference</span>
        <input
          className="input"
          type="search"
          ref={field}
          placeholder="Correlation ID or booking reference"
          autoComplete="off"
          spellCheck={false}
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            if (event.target.value === '') onSearch('');
          }}
          onKeyDown={(event) => {
            if (event.key !== 'Escape') return;
            onSearch('');
            setText('');
          }}
        />
      </label>
    </form>
  );
}

/** Whether a key is meant for a field, or goes with Control and the like. */
export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement;
  return event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName);
}
