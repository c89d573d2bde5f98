import { useEffect, useState } from 'react';

/** A member's number or a code, in capitals; taken on Enter and when the field is left. */
export function TextFilter({
  name,
  placeholder,
  value,
  onChoose,
}: {
  name: string;
  placeholder: string;
  value: string;
  onChoose: (value: string) => void;
}) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  const take = (): void => {
    const wanted = text.trim().toUpperCase();
    if (wanted !== value) onChoose(wanted);
  };
  return (
    <input
      className="input member"
      type="search"
      aria-label={name}
      placeholder={placeholder}
      autoComplete="off"
      spellCheck={false}
      data-set={value !== '' || undefined}
      value={text}
      onChange={(event) => {
        setText(event.target.value);
        if (event.target.value === '') onChoose('');
      }}
      onBlur={take}
      onKeyDown={(event) => event.key === 'Enter' && take()}
    />
  );
}
