import { useIsLive } from '../api/connection';
import type { SagaOnLine } from '../api/saga.graphql';
import { Icon } from '../pieces/icon';
import { useAct } from './act';
import { SagaRetry } from './operator.graphql';
import type { Said } from './said-back';

/** Retries a waiting step now. */
export function RetryButton({ saga, onSaid }: { saga: SagaOnLine; onSaid: (said: Said) => void }) {
  const { isBusy, run } = useAct(SagaRetry);
  const isLive = useIsLive();
  const retry = async (): Promise<void> => {
    const { trouble } = await run({ correlationId: saga.correlationId, reason: null });
    onSaid(trouble === undefined ? { tone: 'ok', text: 'Tried again now.' } : { tone: 'error', text: trouble });
  };
  return (
    <button
      type="button"
      className="btn primary"
      disabled={isBusy || !isLive}
      title={isLive ? undefined : 'Not while the connection is lost.'}
      onClick={() => void retry()}
    >
      <Icon name="retrying" />
      Retry now
    </button>
  );
}
