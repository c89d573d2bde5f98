import type { ReactNode } from 'react';
import type { Trouble } from '../api/client';
import { token } from '../api/token';
import { Banner } from '../pieces/notices';

const CODES: ReadonlySet<string> = new Set(['UNAUTHENTICATED', 'FORBIDDEN']);

/** Where the server does not take the token, says so and lets another one be given; for all else, `children`. */
export function Refused({ trouble, children }: { trouble: Trouble; children: ReactNode }) {
  if (!CODES.has(trouble.code)) return children;
  return (
    <Banner
      tone="error"
      title="The server does not take this token for an operator’s."
      action={
        <button type="button" className="btn small" onClick={() => token.set(null)}>
          Give another token
        </button>
      }
    >
      {trouble.message}
    </Banner>
  );
}
