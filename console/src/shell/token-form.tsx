import { type ReactNode, useId, useState } from 'react';
import { token } from '../api/token';
import { Panel } from '../pieces/panel';
import './token-form.css';

/**
 * Asks for a token, and keeps one that `accept` finds good, for this tab. `accept` answers null where the server could
 * not be reached.
 */
export function TokenForm({ title, ...asking }: Asking & { title: string }) {
  return (
    <>
      <div className="head">
        <h1>{title}</h1>
      </div>
      <TokenPanel {...asking} />
    </>
  );
}

interface Asking {
  readonly accept: (value: string) => Promise<boolean | null>;
  readonly refusal: string;
  readonly children: ReactNode;
}

/** The same in place: who gives a token stays where they are. */
export function TokenPanel({ accept, refusal, children }: Asking) {
  const [value, setValue] = useState('');
  const [trouble, setTrouble] = useState<string | null>(null);
  const [isChecking, setIsChecking] = useState(false);
  const hint = useId();
  const submit = async (event: React.SyntheticEvent): Promise<void> => {
    event.preventDefault();
    setIsChecking(true);
    const isGood = await accept(value.trim());
    setIsChecking(false);
    if (isGood) token.set(value.trim());
    else setTrouble(isGood === null ? 'The server could not be reached.' : refusal);
  };
  return (
    <Panel title="Kept for this tab only" className="token">
      <form className="pad" onSubmit={(event) => void submit(event)}>
        <p>{children}</p>
        <label className="field">
          <span>Token</span>
          <input
            className="input mono"
            type="password"
            autoComplete="off"
            required
            value={value}
            onChange={(event) => setValue(event.target.value)}
            aria-invalid={trouble !== null}
            aria-describedby={hint}
          />
        </label>
        <p className="trouble" id={hint} role="alert">
          {trouble}
        </p>
        <div>
          <button type="submit" className="btn primary" aria-disabled={isChecking}>
            Continue
          </button>
        </div>
      </form>
    </Panel>
  );
}
