import { type ReactNode, Suspense } from 'react';
import { useLocation } from 'wouter';
import { DefinitionsProvider } from '../api/definitions';
import { NeedsReader } from '../operator/needs';
import { Sprite } from '../pieces/icon';
import { Loading } from '../pieces/notices';
import { Bar } from './bar';
import { Boundary } from './boundary';
import { ConnectionBanner } from './connection-banner';
import { useRouteFocus } from './route-focus';
import { SignIn } from './sign-in';

/** What stands around every view. The view is the content of the page's <main>. */
export function Shell({ children }: { children: ReactNode }) {
  const main = useRouteFocus();
  const [path] = useLocation();
  return (
    <>
      <a className="skip" href="#main">
        Skip to content
      </a>
      <Sprite />
      <NeedsReader />
      <Bar />
      <main className="page" id="main" tabIndex={-1} ref={main}>
        <SignIn>
          <DefinitionsProvider>
            <Boundary path={path}>
              <Suspense fallback={<Loading what="this page" />}>{children}</Suspense>
            </Boundary>
          </DefinitionsProvider>
        </SignIn>
      </main>
      <ConnectionBanner />
    </>
  );
}
