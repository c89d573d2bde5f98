import type { ReactNode } from 'react';
import { useToken } from '../api/token';
import { callerOf, may, type Scope, useViewer } from '../api/viewer';
import { Loading } from '../pieces/notices';
import { TokenForm } from './token-form';

/**
 * Shows `children` to operators who have one of these scopes; asks everybody else for such an operator's token.
 * `isForCustomers`: a customer has a view of their own there.
 */
export function OperatorOnly({
  scopes,
  isForCustomers = false,
  children,
}: {
  scopes: readonly Scope[];
  isForCustomers?: boolean;
  children: ReactNode;
}) {
  const viewer = useViewer();
  const token = useToken();
  if (may(viewer, scopes) || (isForCustomers && viewer?.role === 'CUSTOMER')) return children;
  if (viewer === null && token !== null) return <Loading what="this page" />;
  const accept = async (value: string): Promise<boolean | null> => {
    const said = await callerOf(value);
    return said && may(said.caller, scopes);
  };
  const wanted = scopes.join(' or ');
  return (
    <TokenForm
      title="Operator token"
      accept={accept}
      refusal={`The server does not take this token for an operator’s with ${wanted}.`}
    >
      {viewer?.role === 'OPERATOR'
        ? `This page needs ${wanted}; your token has ${viewer.scopes.join(', ') || 'no scope'}.`
        : 'This page is for operators. The server prints its token at start, and says where it is kept.'}
    </TokenForm>
  );
}
