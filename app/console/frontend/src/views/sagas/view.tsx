import { useTitle } from '../../shell/route-focus';

export function SagasView() {
  useTitle('Sagas');
  return (
    <div className="head">
      <h1>Sagas</h1>
    </div>
  );
}
