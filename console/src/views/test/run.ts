import { useCallback, useEffect, useState } from 'react';
import { useClient } from 'urql';
import { type Followed, useSaga, useSagaEvents } from '../../api/follow';
import type { BookFlightInput } from '../../api/generated/graphql';
import type { LiveState } from '../../api/live';
import type { Saga } from '../../api/saga.graphql';
import { type Refusal, refusalOf, refusalOfError } from './refusal';
import { BookFlight } from './test.graphql';

/** What was asked for, under an ID of our own. */
export type Request = BookFlightInput & { readonly correlationId: string };

export interface Run {
  readonly saga: Saga | null;
  readonly events: Followed['events'];
  readonly error: LiveState['error'];
  /** Why the last request was not taken. */
  readonly refusal: Refusal | null;
  readonly isSending: boolean;
  /** What this page asked for, if that is what is shown. */
  readonly request: Request | null;
  /** Whether this page gave the card with the request. */
  readonly isPaidHere: boolean;
  /** Follows the saga first, then sends the request for it. */
  start(request: Request): void;
  /** Once more under the same ID, which is booked once at most. */
  sendAgain(): void;
  forget(): void;
}

/** The saga of this ID, live, and how to begin one; `onId` is told the ID that is to be followed from then on. */
export function useRun(correlationId: string | null, onId: (correlationId: string | null) => void): Run {
  const client = useClient();
  const [asked, setAsked] = useState<{ request: Request } | null>(null);
  const [answer, setAnswer] = useState<{ isSending: boolean; refusal: Refusal | null }>(IDLE);
  const { saga, error } = useSaga(correlationId);
  const { events } = useSagaEvents(correlationId);

  // After the two subscriptions' own effects, so that the first event is not missed.
  useEffect(() => {
    if (asked === null) return undefined;
    let isCurrent = true;
    setAnswer({ isSending: true, refusal: null });
    void client
      .mutation(BookFlight, { input: asked.request })
      .toPromise()
      .then(({ data, error: failure }) => {
        if (!isCurrent) return;
        const refusal = failure ? refusalOfError(failure, Date.now()) : refusalOf(data?.bookFlight?.errors ?? []);
        setAnswer({ isSending: false, refusal });
      });
    return () => {
      isCurrent = false;
    };
  }, [client, asked]);

  const start = useCallback(
    (request: Request) => {
      onId(request.correlationId);
      setAsked({ request });
    },
    [onId],
  );
  const sendAgain = useCallback(() => setAsked((before) => before && { ...before }), []);
  const forget = useCallback(() => {
    setAsked(null);
    setAnswer(IDLE);
    onId(null);
  }, [onId]);

  const isOurs = asked !== null && asked.request.correlationId === correlationId;
  return {
    saga,
    events,
    error: isOurs && answer.refusal !== null ? null : error,
    refusal: isOurs && saga === null ? answer.refusal : null,
    isSending: isOurs && answer.isSending,
    request: isOurs ? asked.request : null,
    isPaidHere: isOurs && asked.request.payLater !== true,
    start,
    sendAgain,
    forget,
  };
}

const IDLE = { isSending: false, refusal: null };
