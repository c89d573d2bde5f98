import type { CacheExchangeOpts } from '@urql/exchange-graphcache';
import { possibleTypes, valueTypes } from './generated.js';

/** For cacheExchange of @urql/exchange-graphcache. Copy src/cache/ into your project. */
export { possibleTypes };

/** A value has no key of its own: it is kept within the object that holds it. */
export const keys: NonNullable<CacheExchangeOpts['keys']> = Object.fromEntries(
  valueTypes.map((name) => [name, () => null]),
);
