import type { Provider } from '../../api/overview.graphql';
import { count, plural } from '../../pieces/format';
import { Time } from '../../pieces/times';
import { Badge } from '../../saga/badge';
import { BREAKERS } from '../overview/provider';

/** What the guard before the payment provider says, in one line. */
export function ProviderLine({ provider }: { provider: Provider }) {
  const { name, breaker, since, callsInFlight, callsWaiting, lastFailure } = provider;
  const [state, word] = BREAKERS[breaker] ?? ['pending', breaker];
  return (
    <p className="provider-line">
      <span className="quiet">Payment provider {name}</span>
      <Badge state={state} word={word} />
      <span>
        since <Time at={since} />; {plural(callsInFlight, 'call')} in flight, {count(callsWaiting)} waiting.
      </span>
      {lastFailure !== null && (
        <span className="quiet">
          Last failure: {lastFailure.code}: {lastFailure.message}
        </span>
      )}
    </p>
  );
}
