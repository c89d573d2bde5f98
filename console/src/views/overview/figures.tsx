import type { SagaStatus } from '../../api/generated/graphql';
import type { Statistics } from '../../api/overview.graphql';
import { count, duration, share } from '../../pieces/format';
import { Spark } from './spark';

/** The four figures that tell most: success, undoing, how long, and what is in flight. */
export function Figures({ statistics }: { statistics: Statistics }) {
  const of = (status: SagaStatus): number => statistics.byStatus.find((each) => each.status === status)?.count ?? 0;
  const {
    finished,
    unfinished,
    gotStuck,
    successRate,
    compensationSuccessRate,
    durationMsP50,
    durationMsP95,
    buckets,
  } = statistics;
  return (
    <dl className="panel figs">
      <Figure
        name="Success"
        value={successRate === null ? '–' : share(successRate)}
        spark={
          <Spark
            values={buckets.map(({ completed, compensated, abandoned }) => {
              const ended = completed + compensated + abandoned;
              return ended === 0 ? null : completed / ended;
            })}
          />
        }
      >
        {finished === 0 ? 'none finished' : `${count(of('COMPLETED'))} of ${count(finished)} finished`}
        {unfinished > 0 && `; without ${count(unfinished)} unfinished`}
      </Figure>
      <Figure name="Undo success" value={compensationSuccessRate === null ? '–' : share(compensationSuccessRate)}>
        {compensationSuccessRate === null
          ? 'no compensation ran'
          : `of compensations; ${count(of('ABANDONED'))} sagas abandoned`}
      </Figure>
      <Figure
        name="Half finish within"
        value={durationMsP50 === null ? '–' : duration(durationMsP50)}
        spark={<Spark values={buckets.map((bucket) => bucket.durationMsP50)} />}
      >
        {durationMsP95 === null ? 'none finished' : `95 in 100 within ${duration(durationMsP95)}`}
      </Figure>
      <Figure name="In flight" value={count(unfinished)}>
        {count(of('RUNNING'))} running, {count(of('COMPENSATING'))} undoing, {count(of('PENDING'))} pending,{' '}
        {count(of('STUCK'))} stuck, {count(of('PARKED'))} parked; {count(gotStuck)} got stuck in this time
      </Figure>
    </dl>
  );
}

function Figure({
  name,
  value,
  spark,
  children,
}: {
  name: string;
  value: string;
  spark?: React.ReactNode;
  children: React.ReactNode;
}) {
  return (
    <div className="fig">
      <dt>{name}</dt>
      <dd>
        <b>{value}</b>
        {spark}
      </dd>
      <dd className="sub">{children}</dd>
    </div>
  );
}
