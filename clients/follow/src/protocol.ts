/** A GraphQL request, as graphql-ws, graphql-sse and the transports of this package take it. */
export interface Request {
  readonly query?: string | undefined;
  readonly variables?: Readonly<Record<string, unknown>> | null | undefined;
  readonly operationName?: string | null | undefined;
  readonly extensions?: Readonly<Record<string, unknown>> | null | undefined;
}

export interface GraphQLErrorLike {
  readonly message: string;
  readonly extensions?: { readonly [name: string]: unknown; readonly code?: string };
}

export interface Result {
  readonly data?: any;
  readonly errors?: readonly GraphQLErrorLike[];
}

export interface Sink {
  next(result: any): void;
  error(cause: unknown): void;
  complete(): void;
}

/** Anything that subscribes as the client of graphql-ws does: it calls the sink, and returns how to stop. */
export interface Source {
  subscribe(request: any, sink: any): () => void;
}

/** Called for each connection, so that it uses the newest token. Throw a FollowError if there will be none. */
export type Headers = () => Record<string, string> | Promise<Record<string, string>>;

/** Without a byte for so long, a connection is lost: two heartbeats of the server, which come every 10 s, and more. */
export const SILENCE_MS = 25_000;
