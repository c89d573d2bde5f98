/** An EventSource. */

// #region client
import { eventSource, follow as followEvents, type SagaEvent, type Settings } from '@seatsaga/follow';

/** Yields every event of a saga above `after` once; ends when the saga does. */
export function follow(
  url: string,
  correlationId: string,
  after = 0,
  settings: Settings & { EventSource?: typeof EventSource } = {},
): AsyncIterable<SagaEvent> {
  return followEvents({ transport: eventSource({ url, ...settings }), correlationId, after, ...settings });
}
// #endregion
