import type { SagaStatus } from '../../api/generated/graphql';
import type { Statistics } from '../../api/overview.graphql';
import { count, duration, plural, share } from '../../pieces/format';
import { Spark } from './spark';

/** The four figures that tell most: success, undoing, how long, and what is not over. */
export function Figures({ statistics }: { statistics: Statistics }) {
  const of = (status: SagaStatus): number => statistics.byStatus.find((each) => each.status === status)?.count ?? 0;
  const { finished, unfinished, successRate, compensationSuccessRate, durationMsP50, durationMsP95, buckets } =
    statistics;
  const [stuck, parked] = [of('STUCK'), of('PARKED')];
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
        {finished === 0 ? 'none finished' : `of ${count(finished)} finished`}; {count(stuck)} stuck
        {parked > 0 && `, ${count(parked)} parked`}
      </Figure>
      <Figure name="Undo success" value={compensationSuccessRate === null ? '–' : share(compensationSuccessRate)}>
        {compensationSuccessRate === null
          ? 'no compensation ran'
          : `of compensations; ${plural(of('ABANDONED'), 'saga')} abandoned`}
      </Figure>
      <Figure
        name="Half finish within"
        value={durationMsP50 === null ? '–' : duration(durationMsP50)}
        spark={<Spark values={buckets.map((bucket) => bucket.durationMsP50)} />}
      >
        {durationMsP95 === null ? 'none finished' : `95 in 100 within ${duration(durationMsP95)}`}
      </Figure>
      <Figure name="Unfinished" value={count(unfinished)}>
        {count(unfinished - stuck - parked)} under way, {count(stuck)} stuck, {count(parked)} parked
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
