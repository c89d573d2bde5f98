import { useTitle } from '../../shell/route-focus';

export function SchedulerView() {
  useTitle('Scheduler');
  return (
    <div className="head">
      <h1>Scheduler</h1>
    </div>
  );
}
