import type { AnyVariables, TypedDocumentNode } from '@urql/core';
import { useCallback, useState } from 'react';
import { client, troubleOf } from '../api/client';
import type { SagaOnLine } from '../api/saga.graphql';

interface Payload {
  readonly saga: SagaOnLine | null;
  readonly errors: readonly { readonly message?: string }[];
}

/** The result of a mutation: the saga, or why there is none. */
export type Outcome =
  | { readonly saga: SagaOnLine; readonly trouble?: never }
  | { readonly saga?: never; readonly trouble: string };

/** A mutation of one saga, by a button that is disabled while it is under way. */
export function useAct<Data extends object, Variables extends AnyVariables>(
  document: TypedDocumentNode<Data, Variables>,
): { readonly isBusy: boolean; run(variables: Variables): Promise<Outcome> } {
  const [isBusy, setIsBusy] = useState(false);
  const run = useCallback(
    async (variables: Variables): Promise<Outcome> => {
      setIsBusy(true);
      const { data, error } = await client.mutation(document, variables).toPromise();
      setIsBusy(false);
      if (error) return { trouble: troubleOf(error).message };
      const payload = data && (Object.values(data)[0] as Payload | null);
      if (payload?.saga) return { saga: payload.saga };
      return { trouble: payload?.errors[0]?.message ?? 'The server gave no answer.' };
    },
    [document],
  );
  return { isBusy, run };
}
