import type { GraphQLErrorLike } from './protocol.js';

/** Why nothing more will come. */
export class FollowError extends Error {
  override readonly name = 'FollowError';
  /** As the API's error has it; or what the status or the close code means: UNAUTHENTICATED, FORBIDDEN, REFUSED. */
  readonly code: string;
  readonly errors: readonly GraphQLErrorLike[];

  constructor(code: string, message = code, errors: readonly GraphQLErrorLike[] = []) {
    super(message);
    this.code = code;
    this.errors = errors;
  }
}

/** What the end of an attempt means. */
export interface Verdict {
  readonly error: FollowError;
  /** Whether another attempt would end the same way. */
  readonly isFinal: boolean;
  /** How long the server asks to wait; 0 if it does not. */
  readonly retryAfterMs: number;
}

const PASSING_CODES = ['SERVER_STOPPING', 'SLOW_CONSUMER', 'UNAVAILABLE', 'INTERNAL', 'UNAUTHENTICATED'];
const PASSING_STATUSES = [401, 408, 425, 429];
const FINAL_CLOSE_CODES = [1002, 1007, 1009];
/** Other codes from 4400 on mean that the client breaks the protocol. 4499: the client gave up a silent socket. */
const PASSING_CLOSE_CODES = [4403, 4408, 4499];
const MEANINGS: Record<number, string> = { 401: 'UNAUTHENTICATED', 4403: 'UNAUTHENTICATED', 403: 'FORBIDDEN' };

/**
 * Judges what any library gives as the cause: GraphQL errors, a response, a close event, or what `fetch` throws.
 *
 * Only known codes are final. Networks, proxies and issuers of tokens fail in many other ways, and recover.
 */
export function judge(cause: any): Verdict {
  if (cause?.name === 'FollowError') return { error: cause, isFinal: true, retryAfterMs: 0 };
  const response = cause?.response ?? cause;
  const errors: GraphQLErrorLike[] = [cause, cause?.errors, cause?.graphQLErrors].find((it) => it?.[0]?.message) ?? [];
  const extensions = errors[0]?.extensions ?? {};
  const said = (name: string): string | undefined => response?.headers?.get?.(name) ?? undefined;
  const retryAfterMs = msOf(said('retry-after') ?? extensions['retryAfterSeconds'] ?? 0, said('date'));
  const number = Number(response?.status ?? cause?.statusCode ?? cause?.code) || 0; // a status, or a close code
  const isFinal = extensions.code
    ? !PASSING_CODES.includes(extensions.code) && !(extensions.code === 'LIMIT_EXCEEDED' && retryAfterMs)
    : number < 1000
      ? number >= 400 && number < 500 && !PASSING_STATUSES.includes(number)
      : FINAL_CLOSE_CODES.includes(number) ||
        (number >= 4400 && number < 4500 && !PASSING_CLOSE_CODES.includes(number));
  const code = extensions.code ?? MEANINGS[number] ?? (isFinal ? 'REFUSED' : 'DISCONNECTED');
  const message = errors[0]?.message ?? (cause?.reason || cause?.message || 'The connection was lost.');
  return { error: new FollowError(code, message, errors), isFinal: Boolean(isFinal), retryAfterMs };
}

/** `Retry-After` is a number of seconds, or a date: by the clock of who answers, if the answer tells its `Date`. */
function msOf(retryAfter: any, date = ''): number {
  const now = Date.parse(date) || Date.now();
  return Math.max(0, Number.isNaN(Number(retryAfter)) ? Date.parse(retryAfter) - now : retryAfter * 1000) || 0;
}
