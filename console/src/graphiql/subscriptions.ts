/**
 * The subscriptions of GraphiQL's tabs.
 *
 * GraphiQL has one response for all tabs, and stops a subscription when its reader opens another tab. Here a
 * subscription belongs to its tab: it goes on unseen, and its tab shows the newest result when it is opened again. It
 * ends by the server, by the stop button, or with its tab.
 */
import type { ExecutionResult } from 'graphql';
import { createClient, type SubscribePayload } from 'graphql-ws';
import { socketUrl } from '../base-path';

interface Watcher {
  next(result: ExecutionResult): void;
  error(cause: unknown): void;
  complete(): void;
}

interface Subscription {
  newest: ExecutionResult | null;
  /** Null while it goes on; null as its cause where the server has said all there is. */
  ending: { readonly cause: unknown } | null;
  /** What shows it; null while another tab is open. */
  watcher: Watcher | null;
  close(): void;
}

interface Tabs {
  readonly tabs: readonly { readonly id: string }[];
  readonly activeTabIndex: number;
}

/** By the tab's id. */
const subscriptions = new Map<string, Subscription>();
let openTab = '';

/** To be told of every change of the tabs, before anything else happens. */
export function seeTabs({ tabs, activeTabIndex }: Tabs): void {
  openTab = tabs[activeTabIndex]?.id ?? '';
  for (const [tab, subscription] of subscriptions) {
    if (!tabs.some(({ id }) => id === tab)) end(tab);
    else if (tab !== openTab) leave(subscription);
  }
}

/** Whether the open tab has a subscription that nothing shows. */
export function isUnseen(): boolean {
  return subscriptions.get(openTab)?.watcher === null;
}

/** Subscribe for the open tab, or show the subscription that it has. */
export function subscribe(request: SubscribePayload, headers: Record<string, string>) {
  return {
    subscribe(watcher: Watcher) {
      const tab = openTab;
      const subscription = subscriptions.get(tab) ?? begin(tab, request, headers);
      subscriptions.set(tab, subscription);
      subscription.watcher = watcher;
      // GraphiQL first keeps what is returned here.
      queueMicrotask(() => show(tab, subscription));
      return {
        // By the stop button, or just before another tab is opened.
        unsubscribe: () => {
          subscription.watcher = null;
          queueMicrotask(() => tab === openTab && end(tab));
        },
      };
    },
  };
}

function begin(tab: string, request: SubscribePayload, connectionParams: Record<string, string>): Subscription {
  const client = createClient({
    url: socketUrl(),
    connectionParams,
  });
  const subscription: Subscription = { newest: null, ending: null, watcher: null, close: () => {} };
  const finish = (cause: unknown) => {
    subscription.ending = { cause };
    show(tab, subscription);
  };
  subscription.close = client.subscribe(request, {
    next: (result) => {
      subscription.newest = result as ExecutionResult;
      subscription.watcher?.next(subscription.newest);
    },
    error: (cause) => finish(cause instanceof CloseEvent ? new Error(saidOf(cause)) : cause),
    complete: () => finish(null),
  });
  return subscription;
}

/** What it has come to, to its watcher; one that is over has been seen then. */
function show(tab: string, { newest, ending, watcher }: Subscription): void {
  if (watcher === null) return;
  if (newest !== null) watcher.next(newest);
  if (ending === null) return;
  subscriptions.delete(tab);
  if (ending.cause === null) watcher.complete();
  else watcher.error(ending.cause);
}

/** GraphiQL takes it for completed, and writes no more of it into the one response. */
function leave(subscription: Subscription): void {
  const { watcher } = subscription;
  subscription.watcher = null;
  watcher?.complete();
}

function end(tab: string): void {
  subscriptions.get(tab)?.close();
  subscriptions.delete(tab);
}

function saidOf({ code, reason }: CloseEvent): string {
  return `The server closed the connection: ${code} ${reason}`.trim();
}
