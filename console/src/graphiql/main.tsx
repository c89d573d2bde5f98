import 'graphiql/style.css';
import './graphiql.css';
import './workers';
import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';
import { token } from '../api/token';
import { readExamples } from './examples';
import { fetcher } from './fetcher';
import { Heading } from './heading';
import { forgetUntouchedExamples, hasKeptTabs } from './kept-tabs';

/** Headers are JSON that may hold comments. The operator's token, where this tab has it, is there at once. */
function headers(): string {
  const kept = token.get();
  const line =
    kept === null ? '// "authorization": "Bearer TOKEN"' : `"authorization": ${JSON.stringify(`Bearer ${kept}`)}`;
  return `{\n  ${line}\n}`;
}

/** As the console's; null follows the system. */
function theme(): 'light' | 'dark' | null {
  const chosen = document.documentElement.dataset.theme;
  return chosen === 'light' || chosen === 'dark' ? chosen : null;
}

forgetUntouchedExamples();
const root = document.getElementById('root');
if (root === null) throw new Error('graphql.html has no #root');
const [examples] = await Promise.all([
  readExamples(headers()),
  // GraphiQL shows its tabs before its editors are there, and confuses them if one is chosen by then: so they are first.
  import('monaco-graphql/esm/monaco-editor.js'),
  import('monaco-graphql/esm/lite.js'),
]);
const [first] = examples;

createRoot(root).render(
  <GraphiQL
    fetcher={fetcher}
    defaultTabs={examples}
    defaultHeaders={headers()}
    defaultTheme={theme()}
    defaultEditorToolsVisibility="variables"
    // GraphiQL takes the first tab's query from the tab, but its variables from here.
    {...(first && !hasKeptTabs() && { initialVariables: first.variables, initialHeaders: first.headers })}
  >
    <GraphiQL.Logo>
      <Heading />
    </GraphiQL.Logo>
  </GraphiQL>,
);
