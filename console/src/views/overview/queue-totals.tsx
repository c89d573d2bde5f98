import type { Statistics } from '../../api/overview.graphql';
import { count } from '../../pieces/format';
import { Icon } from '../../pieces/icon';
import { Panel } from '../../pieces/panel';
import { iconOf, type StateName } from '../../saga/states';
import '../../saga/states.css';

/** The queues of the sagas that ended in the window and of all that are unfinished, in total. */
export function QueueTotals({ queue, last }: { queue: Statistics['queue']; last: string }) {
  const shown: readonly [string, StateName, number][] = [
    ['Pending', 'pending', queue.pending],
    ['Executing', 'executing', queue.executing],
    ['Completed', 'completed', queue.completed],
    ['Failed', 'failed', queue.failed],
    ['To undo', 'pending', queue.compensationsPending],
    ['Undoing', 'compensating', queue.compensating],
    ['Stuck', 'stuck', queue.stuck],
  ];
  return (
    <Panel title="Queue, all sagas" end={`steps: ended in ${last}, or unfinished`}>
      <dl className="qn">
        {shown.map(([word, state, number]) => (
          <div key={word} data-s={state} data-loud={(state === 'stuck' && number > 0) || undefined}>
            <dt>
              <Icon name={iconOf(state)} />
              {word}
            </dt>
            <dd>{count(number)}</dd>
          </div>
        ))}
      </dl>
    </Panel>
  );
}
