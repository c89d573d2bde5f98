import type { ReactNode } from 'react';
import { useLocation } from 'wouter';
import { useConnection } from '../api/connection';
import { isValid } from '../api/token';
import { TokenForm } from './token-form';

const NEEDS_NO_SERVER = '/saga/file';

/** Shows `children` while the server takes who we are; asks for a token where it wants one, or another one. */
export function SignIn({ children }: { children: ReactNode }) {
  const connection = useConnection();
  const [path] = useLocation();
  if (connection.status !== 'refused' || path === NEEDS_NO_SERVER) return children;
  return (
    <TokenForm title="Token" accept={isValid} refusal="The server does not take this token.">
      The server wants to know who is asking: {connection.reason || 'the token is not valid.'}
    </TokenForm>
  );
}
