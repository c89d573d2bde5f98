import { Link } from 'wouter';
import { Empty } from '../pieces/notices';
import { useTitle } from '../shell/route-focus';

/** What stands at an address that no view has. */
export function Missing() {
  useTitle('Nothing here');
  return (
    <section className="panel">
      <h1 className="vh">Nothing here</h1>
      <Empty
        title="There is nothing at this address"
        action={
          <Link className="btn" href="/saga">
            Show all sagas
          </Link>
        }
      />
    </section>
  );
}
