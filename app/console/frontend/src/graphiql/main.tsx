import 'graphiql/style.css';
import './graphiql.css';
import './workers';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { GraphiQL } from 'graphiql';
import { fetcher } from './fetcher';

const root = document.getElementById('root');
if (root === null) throw new Error('graphql.html has no #root');
createRoot(root).render(
  <StrictMode>
    <GraphiQL fetcher={fetcher} />
  </StrictMode>,
);
