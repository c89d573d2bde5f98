import { useEffect, useState } from 'react';

/** A member's number; taken on Enter and when the field is left. */
export function MemberFilter({ member, onChoose }: { member: string; onChoose: (member: string) => void }) {
  const [text, setText] = useState(member);
  useEffect(() => setText(member), [member]);
  const take = (): void => {
    const wanted = text.trim().toUpperCase();
    if (wanted !== member) onChoose(wanted);
  };
  return (
    <input
      className="input member"
      type="search"
      aria-label="Member, as SS0000001"
      placeholder="Any member"
      autoComplete="off"
      spellCheck={false}
      data-set={member !== '' || undefined}
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
