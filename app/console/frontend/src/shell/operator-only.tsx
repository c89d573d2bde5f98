import { useId, useState, type ReactNode } from 'react';
import { readScheduler } from '../api/scheduler';
import { token, useToken } from '../api/token';
import { Panel } from '../pieces/panel';

/** Shows `children` to who has given an operator's token in this tab; asks for it otherwise. */
export function OperatorOnly({ children }: { children: ReactNode }) {
  return useToken() === null ? <TokenForm /> : children;
}

/** Asks for the token, and takes one that the server takes for an operator's. */
function TokenForm() {
  const [value, setValue] = useState('');
  const [trouble, setTrouble] = useState<string | null>(null);
  const [isChecking, setIsChecking] = useState(false);
  const hint = useId();
  const submit = async (event: React.SyntheticEvent): Promise<void> => {
    event.preventDefault();
    setIsChecking(true);
    const { problem } = await readScheduler(value.trim());
    setIsChecking(false);
    if (problem === undefined) token.set(value.trim());
    else if (problem.status === 0) setTrouble(problem.detail);
    else setTrouble('The server does not take this token for an operator’s.');
  };
  return (
    <Panel title="Operator token" className="token">
      <form className="pad" onSubmit={(event) => void submit(event)}>
        <p>This page is for operators. The server prints its token at start, and says where it is kept.</p>
        <label className="field">
          <span>Kept for this tab only</span>
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
        <button className="btn primary" disabled={isChecking}>
          Continue
        </button>
      </form>
    </Panel>
  );
}
