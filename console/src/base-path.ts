/**
 * The path beneath which the server is reached, like `/seats`; empty where it has its host for itself. The server writes
 * it into each document. Logic is tested without a document.
 */
export const BASE_PATH: string =
  globalThis.document?.querySelector<HTMLMetaElement>('meta[name="base-path"]')?.content ?? '';

/** The address of a path of the server's. */
export function at(path: string): string {
  return BASE_PATH + path;
}

/** The address at which the server takes sockets. */
export function socketUrl(): string {
  return `${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}${at('/graphql')}`;
}
