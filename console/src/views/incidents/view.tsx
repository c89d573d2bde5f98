import { Link } from 'wouter';
import { useNeeds } from '../../operator/needs';
import { plural } from '../../pieces/format';
import { Empty, Loading } from '../../pieces/notices';
import { useTitle } from '../../shell/route-focus';

/** What needs a person: the first page of an operator. */
export function IncidentsView() {
  useTitle('Incidents');
  const needs = useNeeds();
  const number = needs === null ? null : needs.stuck + needs.parked;
  return (
    <>
      <div className="head">
        <h1>Incidents</h1>
      </div>
      <section className="panel" aria-label="Incidents">
        {number === null ? (
          <Loading what="incidents" />
        ) : number === 0 ? (
          <Empty title="No saga needs you" />
        ) : (
          <Empty
            title={`${plural(number, 'saga needs', 'sagas need')} you`}
            action={
              <Link className="btn" href="/saga?status=STUCK&window=any">
                Show them
              </Link>
            }
          />
        )}
      </section>
    </>
  );
}
