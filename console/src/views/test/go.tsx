import { useId } from 'react';
import { Icon } from '../../pieces/icon';

/** The three buttons; `word` is on the first. `reason`: why nothing can be run now; null where it can, and then `hint` is said. They keep the focus when they rest. */
export function Go({
  word,
  reason,
  hint,
  isFaulty,
  onSuccess,
  onFailure,
  onClear,
}: {
  word: string;
  reason: string | null;
  hint: string;
  isFaulty: boolean;
  onSuccess: () => void;
  onFailure: () => void;
  onClear: () => void;
}) {
  const said = useId();
  const canRun = reason === null;
  const canFail = canRun && isFaulty;
  return (
    <div className="go">
      <button
        type="button"
        className="btn primary"
        aria-disabled={!canRun}
        aria-describedby={said}
        onClick={() => canRun && onSuccess()}
      >
        <Icon name="play" />
        {word}
      </button>
      <button
        type="button"
        className="btn"
        aria-disabled={!canFail}
        aria-describedby={said}
        onClick={() => canFail && onFailure()}
      >
        Run selected failure
      </button>
      <button type="button" className="btn plain" onClick={onClear}>
        Clear
      </button>
      <p className="hint" id={said} role="status">
        {reason ?? hint}
      </p>
    </div>
  );
}
