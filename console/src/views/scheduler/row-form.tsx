import { type ComponentProps, type ReactNode, useEffect, useId, useRef, useState } from 'react';

/**
 * One field in a job's row: Enter sends, Escape cancels. `send` gives what is wrong, or null once all is done; until
 * then the field keeps the focus, all of it selected where it is `isSelected`.
 */
export function RowForm({
  name,
  className,
  label,
  start = '',
  isSelected = false,
  field: looks,
  unit,
  submit,
  send,
  onClose,
}: {
  name: string;
  className: string;
  label: string;
  start?: string;
  isSelected?: boolean;
  field: ComponentProps<'input'>;
  unit?: ReactNode;
  submit: ReactNode;
  send: (text: string) => Promise<string | null>;
  onClose: () => void;
}) {
  const [text, setText] = useState(start);
  const [trouble, setTrouble] = useState<string | null>(null);
  const field = useRef<HTMLInputElement>(null);
  const id = useId();
  const take = (): void => (isSelected ? field.current?.select() : field.current?.focus());
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, as it appears.
  useEffect(take, []);
  const onSubmit = async (event: React.SyntheticEvent): Promise<void> => {
    event.preventDefault();
    const said = await send(text.trim());
    if (said === null) return;
    setTrouble(said);
    take();
  };
  return (
    <form
      className={className}
      aria-label={name}
      noValidate
      onSubmit={(event) => void onSubmit(event)}
      onKeyDown={(event) => event.key === 'Escape' && onClose()}
    >
      <label htmlFor={`${id}-field`}>{label}</label>
      <input
        {...looks}
        className="input"
        id={`${id}-field`}
        ref={field}
        autoComplete="off"
        value={text}
        aria-invalid={trouble !== null}
        aria-describedby={`${id}-trouble`}
        onChange={(event) => setText(event.target.value)}
      />
      {unit}
      {submit}
      <button type="button" className="btn plain" onClick={onClose}>
        Cancel
      </button>
      <p className="trouble" id={`${id}-trouble`} role="alert">
        {trouble}
      </p>
    </form>
  );
}
