import { useId, useState } from 'react';
import { useIsLive } from '../../api/connection';
import { SettleSaga } from '../../api/incidents.graphql';
import { useAct } from '../../operator/act';
import { type Said, SaidBack } from '../../operator/said-back';

const HOW_CHARACTERS_MAX = 500;

/** Records in words how something that was given up was settled by hand. The saga then leaves the worklist. */
export function SettleForm({
  correlationId,
  onSettled,
  onClose,
}: {
  correlationId: string;
  onSettled: () => void;
  onClose: () => void;
}) {
  const { isBusy, run } = useAct(SettleSaga);
  const isLive = useIsLive();
  const [how, setHow] = useState('');
  const [said, setSaid] = useState<Said | null>(null);
  const hint = useId();
  const settle = async (event: React.SyntheticEvent): Promise<void> => {
    event.preventDefault();
    if (how.trim() === '') {
      setSaid({ tone: 'error', text: 'Say what was done: it is kept in the record of operator actions.' });
      return;
    }
    const { trouble } = await run({ correlationId, how: how.trim() });
    if (trouble === undefined) onSettled();
    else setSaid({ tone: 'error', text: trouble });
  };
  return (
    <form
      className="skip-form"
      noValidate
      aria-label="Settle"
      onSubmit={(event) => void settle(event)}
      onKeyDown={(event) => event.key === 'Escape' && onClose()}
    >
      <label className="field">
        <span>What was done by hand, required</span>
        <textarea
          className="input"
          rows={2}
          required
          autoFocus
          maxLength={HOW_CHARACTERS_MAX}
          value={how}
          onChange={(event) => setHow(event.target.value)}
          aria-describedby={hint}
          aria-invalid={said !== null && how.trim() === ''}
        />
      </label>
      <div id={hint}>
        <SaidBack said={said} />
      </div>
      <div className="two">
        <button type="submit" className="btn primary" disabled={isBusy || !isLive}>
          Record as settled
        </button>
        <button type="button" className="btn plain" onClick={onClose}>
          Not yet
        </button>
      </div>
    </form>
  );
}
