import { useState } from 'react';
import { Icon } from './icon';
import './correlation-id.css';

/** A correlation ID in full, to be selected or copied; who copies is told so. */
export function CorrelationId({ id }: { id: string }) {
  const [said, setSaid] = useState('');
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(id);
      setSaid('Copied');
    } catch {
      setSaid('Select it to copy it');
    }
  };
  return (
    <span className="cid">
      <code aria-label="Correlation ID">{id}</code>
      <button type="button" className="icon-btn" onClick={() => void copy()} aria-label="Copy the correlation ID">
        <Icon name={said === 'Copied' ? 'completed' : 'copy'} />
      </button>
      <span className="vh" role="status">
        {said}
      </span>
    </span>
  );
}

/** Its first 13 characters, for lists; in full when pointed at. */
export function ShortId({ id }: { id: string }) {
  return (
    <span className="mono" title={id}>
      {id.slice(0, 13)}
    </span>
  );
}
