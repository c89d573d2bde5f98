import './styles/tokens.css';
import './styles/base.css';
import './styles/page.css';
import './styles/controls.css';
import './styles/tables.css';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Provider } from 'urql';
import { Router } from 'wouter';
import { client } from './api/client';
import { BASE_PATH } from './base-path';
import { forgetKeptHeaders } from './graphiql/headers-stripped';
import { Routes } from './routes';
import { Shell } from './shell/shell';

forgetKeptHeaders();
const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no #root');
createRoot(root).render(
  <StrictMode>
    <Provider value={client}>
      <Router base={BASE_PATH}>
        <Shell>
          <Routes />
        </Shell>
      </Router>
    </Provider>
  </StrictMode>,
);
