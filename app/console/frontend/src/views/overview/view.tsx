import { useTitle } from '../../shell/route-focus';

export function OverviewView() {
  useTitle('Overview');
  return (
    <div className="head">
      <h1>Overview</h1>
    </div>
  );
}
