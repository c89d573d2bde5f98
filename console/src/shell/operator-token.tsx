import type { ReactNode } from 'react';
import { callerOf, may, type Scope } from '../api/viewer';
import { TokenPanel } from './token-form';

/** Asks, in place, for the token of an operator who has this scope. */
export function OperatorToken({ scope, children }: { scope: Scope; children: ReactNode }) {
  const accept = async (value: string): Promise<boolean | null> => {
    const said = await callerOf(value);
    return said && may(said.caller, [scope]);
  };
  return (
    <TokenPanel accept={accept} refusal={`The server does not take this token for an operator’s with ${scope}.`}>
      {children}
    </TokenPanel>
  );
}
