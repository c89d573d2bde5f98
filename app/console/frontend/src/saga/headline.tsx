import type { SagaOnLine } from '../api/saga.graphql';
import { SagaBadge } from './badge';
import { sentenceOf } from './sentence';
import './headline.css';

/** What is going on, in one sentence: the page's one region that speaks of progress. `end` stands at its right. */
export function Headline({ saga, end }: { saga: SagaOnLine; end?: React.ReactNode }) {
  return (
    <div className="said-now">
      <SagaBadge saga={saga} />
      <h2 aria-live="polite">{sentenceOf(saga)}</h2>
      {end !== undefined && <div className="end">{end}</div>}
    </div>
  );
}
