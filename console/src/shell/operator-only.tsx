import type { ReactNode } from 'react';
import { isOperators, useToken } from '../api/token';
import { TokenForm } from './token-form';

/** Shows `children` to who has given an operator's token in this tab; asks for it otherwise. */
export function OperatorOnly({ children }: { children: ReactNode }) {
  if (useToken() !== null) return children;
  return (
    <TokenForm
      title="Operator token"
      accept={isOperators}
      refusal="The server does not take this token for an operator’s."
    >
      This page is for operators. The server prints its token at start, and says where it is kept.
    </TokenForm>
  );
}
