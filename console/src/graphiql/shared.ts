/** A tab as an address gives it: /graphql?query=...&variables=...&operationName=... */
export interface Shared {
  readonly query: string;
  readonly variables: string;
  readonly operationName: string | null;
}

/** Null where the address names no query. */
export function sharedBy(search: string): Shared | null {
  const params = new URLSearchParams(search);
  const query = params.get('query');
  if (query === null) return null;
  return { query, variables: laidOut(params.get('variables') ?? ''), operationName: params.get('operationName') };
}

/** Variables over several lines; as they are if they are no JSON, for the reader to mend. */
function laidOut(variables: string): string {
  try {
    return variables === '' ? '' : JSON.stringify(JSON.parse(variables), null, 2);
  } catch {
    return variables;
  }
}
