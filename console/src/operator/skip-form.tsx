import { useEffect, useId, useRef, useState } from 'react';
import { useIsLive } from '../api/connection';
import type { Saga } from '../api/saga.graphql';
import { Icon } from '../pieces/icon';
import { useAct } from './act';
import { SagaSkip } from './operator.graphql';
import { type Said, SaidBack } from './said-back';
import { consequencesOf, type Stuck } from './stuck';
import './operator.css';

/**
 * Skips the stuck step, with a reason on the record. Focus goes to the reason; Escape closes it, and so does what
 * was said once the server has taken it.
 */
export function SkipForm({
  saga,
  stuck,
  id,
  onClose,
  onSaid,
}: {
  saga: Saga;
  stuck: Stuck;
  id: string;
  onClose: () => void;
  onSaid: (said: Said) => void;
}) {
  const { isBusy, run } = useAct(SagaSkip);
  const isLive = useIsLive();
  const [reason, setReason] = useState('');
  const [trouble, setTrouble] = useState<Said | null>(null);
  const field = useRef<HTMLTextAreaElement>(null);
  const hint = useId();
  useEffect(() => field.current?.focus(), []);
  const skip = async (event: React.SyntheticEvent): Promise<void> => {
    event.preventDefault();
    if (reason.trim() === '') {
      setTrouble({ tone: 'error', text: 'Say why: the reason is kept in the saga’s history.' });
      field.current?.focus();
      return;
    }
    const said = await run({ correlationId: saga.correlationId, step: stuck.step.name, reason: reason.trim() });
    if (said.trouble !== undefined) setTrouble({ tone: 'error', text: said.trouble });
    else {
      onClose();
      onSaid({ tone: 'ok', text: `${stuck.name} skipped.` });
    }
  };
  return (
    <form
      className="skip-form"
      id={id}
      noValidate
      aria-label={`Skip ${stuck.name}`}
      onSubmit={(event) => void skip(event)}
      onKeyDown={(event) => event.key === 'Escape' && onClose()}
    >
      <p>This gives up {stuck.isUndo ? 'one compensation' : 'one step'}, for good.</p>
      <ul>
        {consequencesOf(saga, stuck).map((text) => (
          <li key={text}>
            <Icon name="arrow" />
            {text}
          </li>
        ))}
      </ul>
      <label className="field">
        <span>Reason, required</span>
        <textarea
          className="input"
          rows={2}
          required
          maxLength={500}
          ref={field}
          value={reason}
          onChange={(event) => setReason(event.target.value)}
          aria-describedby={hint}
          aria-invalid={trouble !== null && reason.trim() === ''}
        />
      </label>
      <div id={hint}>
        <SaidBack said={trouble} />
      </div>
      <div className="two">
        <button type="submit" className="btn danger" disabled={isBusy || !isLive}>
          Skip {stuck.name}
        </button>
        <button type="button" className="btn plain" onClick={onClose}>
          Keep trying
        </button>
      </div>
    </form>
  );
}
