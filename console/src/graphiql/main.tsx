import 'graphiql/style.css';
import './graphiql.css';
import './workers';
import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';
import { readExamples } from './examples';
import { fetcher } from './fetcher';
import { forgetKeptHeaders } from './headers-stripped';
import { Heading } from './heading';
import { forgetUntouchedExamples, hasKeptTabs, storage } from './kept';
import { sharedBy } from './shared';
import { seeTabs } from './subscriptions';

/** Headers are JSON that may hold comments. */
const HEADERS = `{
  // Sent with this tab's requests, and kept nowhere. The console's token is sent by itself.
  // "authorization": "Bearer TOKEN"
}`;

/** As the console's; null follows the system. */
function theme(): 'light' | 'dark' | null {
  const chosen = document.documentElement.dataset.theme;
  return chosen === 'light' || chosen === 'dark' ? chosen : null;
}

forgetKeptHeaders();
forgetUntouchedExamples();
const root = document.getElementById('root');
if (root === null) throw new Error('graphql.html has no #root');
const shared = sharedBy(location.search);
const [examples] = await Promise.all([
  readExamples(HEADERS),
  // GraphiQL shows its tabs before its editors are there, and confuses them if one is chosen by then: so they are first.
  import('monaco-graphql/esm/monaco-editor.js'),
  import('monaco-graphql/esm/lite.js'),
]);
// GraphiQL takes a first tab's query from the tab, but its variables from here; and what it keeps comes before its tabs.
const first = shared ?? (hasKeptTabs() ? undefined : examples[0]);

createRoot(root).render(
  <GraphiQL
    fetcher={fetcher}
    storage={storage}
    shouldPersistHeaders={false}
    onTabChange={seeTabs}
    defaultTabs={shared === null ? examples : [{ ...shared, headers: HEADERS }, ...examples]}
    defaultHeaders={HEADERS}
    defaultTheme={theme()}
    defaultEditorToolsVisibility="variables"
    {...(first && { initialQuery: first.query, initialVariables: first.variables, initialHeaders: HEADERS })}
  >
    <GraphiQL.Logo>
      <Heading shared={shared} />
    </GraphiQL.Logo>
  </GraphiQL>,
);
