import { pick, useGraphiQL, useGraphiQLActions } from '@graphiql/react';
import { useEffect } from 'react';
import { at } from '../base-path';
import type { Shared } from './shared';
import { isUnseen } from './subscriptions';

/**
 * The page's heading, with the way to the console. It is always drawn, so it also keeps what surrounds the tabs true:
 * the document's title, the address, and what the response shows of a subscription.
 */
export function Heading({ shared }: { shared: Shared | null }) {
  const { operationName, tabs, activeTabIndex } = useGraphiQL(pick('operationName', 'tabs', 'activeTabIndex'));
  const { run, setOperationName } = useGraphiQLActions();
  const tab = tabs[activeTabIndex];
  useEffect(() => {
    document.title = [operationName, 'GraphiQL', 'seatsaga'].filter(Boolean).join(' · ');
  }, [operationName]);
  useEffect(() => {
    if (shared?.operationName) setOperationName(shared.operationName);
  }, [shared, setOperationName]);
  useEffect(() => {
    // An address that names a query names what is shown, or nothing.
    const isShown = tab?.query === shared?.query && (tab?.variables ?? '') === shared?.variables;
    if (shared !== null && !isShown) history.replaceState(null, '', location.pathname);
  }, [shared, tab]);
  useEffect(() => {
    if (tab?.id !== undefined && isUnseen()) void run();
  }, [tab?.id, run]);
  return (
    <h1>
      <a href={at('/saga/test')}>seatsaga</a> GraphiQL
    </h1>
  );
}
