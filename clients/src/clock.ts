// #region clock
let aheadMilliseconds = 0;

/** As the global fetch; also learns from each answer what time it is at the server. */
export const fetch: typeof globalThis.fetch = async (input, init) => {
  const sentAt = Date.now();
  const answer = await globalThis.fetch(input, init);
  const saidAt = Date.parse(answer.headers.get('date') ?? ''); // has whole seconds
  if (!Number.isNaN(saidAt)) aheadMilliseconds = saidAt + 500 - (sentAt + Date.now()) / 2;
  return answer;
};

/** Returns the seconds until an instant of the server's, to about a second, also if this device's clock is wrong. */
export function secondsUntil(instant: string): number {
  return Math.max(0, Math.floor((Date.parse(instant) - Date.now() - aheadMilliseconds) / 1000));
}
// #endregion
