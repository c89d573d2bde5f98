import { useTitle } from '../../shell/route-focus';

/** `correlationId`: of the run that is shown; null before the first. */
export function TestView({ correlationId }: { correlationId: string | null }) {
  useTitle('Test console');
  return (
    <div className="head">
      <h1>Test console</h1>
      <p>{correlationId}</p>
    </div>
  );
}
