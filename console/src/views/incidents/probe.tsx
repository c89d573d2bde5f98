import { useEffect, useRef, useState } from 'react';
import { Link } from 'wouter';
import { useIsLive } from '../../api/connection';
import { useSaga } from '../../api/follow';
import type { SagaFilter } from '../../api/generated/graphql';
import { IncidentSagas } from '../../api/incidents.graphql';
import { read } from '../../api/read';
import type { SagaOnLine } from '../../api/saga.graphql';
import { useAct } from '../../operator/act';
import { SagaRetry } from '../../operator/operator.graphql';
import { type Said, SaidBack } from '../../operator/said-back';
import { stuckOf } from '../../operator/stuck';
import { ShortId } from '../../pieces/correlation-id';
import { Icon } from '../../pieces/icon';
import { SagaBadge } from '../../saga/badge';
import { MiniLine } from '../../saga/mini-line';
import { sentenceOf } from '../../saga/sentence';
import { nextToTry, type Verdict, verdictOf } from './verdict';

const PAGE_MAX = 100;
const REASON = 'Tried alone, before the others of the incident.';

/** The saga that is tried, and how far its log went before. */
interface Probed {
  readonly correlationId: string;
  readonly sequence: number;
}

/** Retries the saga that is stuck longest, alone, and shows what becomes of it. After it, one that was not tried yet. */
export function Probe({ filter, onVerdict }: { filter: SagaFilter; onVerdict: (verdict: Verdict) => void }) {
  const { isBusy, run } = useAct(SagaRetry);
  const [probed, setProbed] = useState<Probed | null>(null);
  const [said, setSaid] = useState<Said | null>(null);
  const tried = useRef(new Set<string>());
  const isLive = useIsLive();
  const start = async (): Promise<void> => {
    setSaid(null);
    const { data, trouble } = await read(IncidentSagas, { filter, first: Math.min(tried.current.size + 1, PAGE_MAX) });
    const saga =
      data &&
      nextToTry(
        data.sagas.edges.map(({ node }) => node),
        tried.current,
      );
    if (saga === undefined) {
      setSaid({ tone: 'error', text: trouble?.message ?? 'No saga of this incident is left.' });
      return;
    }
    const { correlationId, sequence } = saga;
    tried.current.add(correlationId);
    const answer = await run({ correlationId, reason: REASON });
    if (answer.trouble === undefined) setProbed({ correlationId, sequence });
    else setSaid({ tone: 'error', text: answer.trouble });
  };
  return (
    <>
      <button type="button" className="btn" disabled={isBusy || !isLive} onClick={() => void start()}>
        <Icon name="retrying" />
        {probed === null ? 'Try one' : 'Try another'}
      </button>
      <SaidBack said={said} />
      {probed !== null && <Watch key={probed.correlationId} probed={probed} onVerdict={onVerdict} />}
    </>
  );
}

function Watch({ probed, onVerdict }: { probed: Probed; onVerdict: (verdict: Verdict) => void }) {
  const { saga } = useSaga(probed.correlationId);
  const verdict = saga === null ? 'trying' : verdictOf(saga, probed.sequence);
  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each verdict.
  useEffect(() => onVerdict(verdict), [verdict]);
  return (
    <div className="probed" role="status">
      <Link href={`/saga/${probed.correlationId}`}>
        <ShortId id={probed.correlationId} />
      </Link>
      {saga !== null && (
        <>
          <SagaBadge saga={saga} />
          <MiniLine saga={saga} />
          <span>{sayingOf(saga, verdict)}</span>
        </>
      )}
    </div>
  );
}

function sayingOf(saga: SagaOnLine, verdict: Verdict): string {
  if (verdict === 'trying') return 'Is being tried.';
  if (verdict === 'went on') return `Went on. ${sentenceOf(saga)}`;
  return `Failed again. ${stuckOf(saga)?.why ?? sentenceOf(saga)}`;
}
