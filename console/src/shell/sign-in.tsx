import type { ReactNode } from 'react';
import { useConnection } from '../api/connection';
import { isValid } from '../api/token';
import { TokenForm } from './token-form';

/** Shows `children` while the server takes who we are; asks for a token where it wants one, or another one. */
export function SignIn({ children }: { children: ReactNode }) {
  const connection = useConnection();
  if (connection.status !== 'refused') return children;
  return (
    <TokenForm title="Token" accept={isValid} refusal="The server does not take this token.">
      The server wants to know who is asking: {connection.reason || 'the token is not valid.'}
    </TokenForm>
  );
}
