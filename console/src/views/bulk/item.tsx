import type { BulkAction } from '../../api/bulk.graphql';
import { plural } from '../../pieces/format';
import { Time } from '../../pieces/times';
import { plainName } from '../../saga/words';
import { Progress } from './progress';
import { filterSaid, verbOf } from './words';

/** One bulk action: what was asked for, by whom and why, and how far it is. */
export function BulkItem({ action }: { action: BulkAction }) {
  const { kind, step, matched, reason, filter, by, startedAt, sagasPerSecond } = action;
  return (
    <li>
      <article aria-label={reason}>
        <h2>
          {verbOf(kind)} {step !== null && 'in '}
          {plural(matched, 'saga')}
          {step !== null && ` at ${plainName(step)}`}: {reason}
        </h2>
        <p className="asked">
          {by.subject ?? by.role.toLowerCase()}, <Time at={startedAt} />; {plural(sagasPerSecond, 'saga')} a second;{' '}
          {filterSaid(filter)}
        </p>
        <Progress action={action} />
      </article>
    </li>
  );
}
