import { lazy } from 'react';
import { Route, Switch } from 'wouter';
import { OperatorOnly } from './shell/operator-only';
import { Missing } from './views/missing';

const Test = lazy(() => import('./views/test/view').then(({ TestView }) => ({ default: TestView })));
const Sagas = lazy(() => import('./views/sagas/view').then(({ SagasView }) => ({ default: SagasView })));
const Saga = lazy(() => import('./views/saga/view').then(({ SagaView }) => ({ default: SagaView })));
const Scheduler = lazy(() =>
  import('./views/scheduler/view').then(({ SchedulerView }) => ({ default: SchedulerView })),
);
const Incidents = lazy(() =>
  import('./views/incidents/view').then(({ IncidentsView }) => ({ default: IncidentsView })),
);
const SavedSaga = lazy(() => import('./views/file/view').then(({ FileView }) => ({ default: FileView })));
const Actions = lazy(() => import('./views/actions/view').then(({ ActionsView }) => ({ default: ActionsView })));
const Runbook = lazy(() => import('./views/runbook/view').then(({ RunbookView }) => ({ default: RunbookView })));
const Bulk = lazy(() => import('./views/bulk/view').then(({ BulkView }) => ({ default: BulkView })));
const Overview = lazy(() => import('./views/overview/view').then(({ OverviewView }) => ({ default: OverviewView })));

/** Every view has a URL that can be shared and reloaded. */
export function Routes() {
  return (
    <Switch>
      <Route path="/saga/test/:id?">{({ id }) => <Test correlationId={id ?? null} />}</Route>
      <Route path="/saga/incidents">
        <OperatorOnly scopes={['sagas:read']}>
          <Incidents />
        </OperatorOnly>
      </Route>
      <Route path="/saga/actions">
        <OperatorOnly scopes={['sagas:read']}>
          <Actions />
        </OperatorOnly>
      </Route>
      <Route path="/saga/runbook">
        <Runbook />
      </Route>
      <Route path="/saga/bulk">
        <OperatorOnly scopes={['sagas:read']}>
          <Bulk />
        </OperatorOnly>
      </Route>
      <Route path="/saga/overview">
        <OperatorOnly scopes={['sagas:read']}>
          <Overview />
        </OperatorOnly>
      </Route>
      <Route path="/saga/scheduler">
        <OperatorOnly scopes={['sagas:read', 'jobs:write']}>
          <Scheduler />
        </OperatorOnly>
      </Route>
      <Route path="/saga">
        <OperatorOnly scopes={['sagas:read']} isForCustomers>
          <Sagas />
        </OperatorOnly>
      </Route>
      <Route path="/saga/file">
        <SavedSaga />
      </Route>
      <Route path="/saga/:id">{({ id }) => <Saga key={id} correlationId={id} />}</Route>
      <Route>
        <Missing />
      </Route>
    </Switch>
  );
}
