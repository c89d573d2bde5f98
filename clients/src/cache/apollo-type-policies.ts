import type { FieldFunctionOptions, FieldMergeFunction, TypePolicies } from '@apollo/client';
import { possibleTypes, valueTypes } from './generated.js';

/** For InMemoryCache. Copy src/cache/ into your project. */
export { possibleTypes };

interface Item {
  readonly __ref?: string;
  readonly [field: string]: unknown;
}

const isValue = (thing: unknown): thing is Item =>
  typeof thing === 'object' && thing !== null && !Array.isArray(thing) && !('__ref' in thing);

/** A value with all fields that either has; the newer one decides. Apollo's own mergeObjects goes one level deep only. */
function joined(before: unknown, now: unknown): unknown {
  if (isValue(before) && isValue(now)) {
    const fields = Object.entries(now).map(([name, value]) => [name, joined(before[name], value)]);
    return { ...before, ...Object.fromEntries(fields) };
  }
  const areAlike = Array.isArray(before) && Array.isArray(now) && before.length === now.length;
  return areAlike ? now.map((item, index) => joined(before[index], item)) : now;
}

/**
 * Merges a list of values item by item: an item goes with the one that has the same key, so that a view that asks for
 * fewer fields takes none from another view. Items that are gone are dropped.
 */
function byKey(
  keyOf: (item: Item, index: number, options: FieldFunctionOptions) => unknown,
): FieldMergeFunction<readonly Item[]> {
  return (existing, incoming, options) => {
    const known = new Map((existing ?? []).map((item, index) => [keyOf(item, index, options), item]));
    return incoming.map((item, index) => joined(known.get(keyOf(item, index, options)), item) as Item);
  };
}

/** A journey's segments, passengers and seats never change their order. */
const inOrder = byKey((_item, index) => index);
const byField = (name: string) => byKey((item, _index, { readField }) => readField(name, item as never));
/** An edge goes with the one that has the same node. */
const edges = byKey((edge, _index, { readField }) => readField<Item>('node', edge as never)?.__ref ?? edge);

const lists: TypePolicies = {
  Flight: { fields: { fares: { merge: byField('cabinClass') } } },
  Booking: { fields: { passengers: { merge: inOrder }, segments: { merge: inOrder } } },
  Saga: { fields: { passengers: { merge: inOrder } } },
  SagaStatistics: { fields: { byStatus: { merge: byField('status') }, failedAt: { merge: byField('step') } } },
};

/** Values are merged into those that the same object holds already; connections keep their edges. */
export const typePolicies: TypePolicies = Object.fromEntries(
  [...new Set([...valueTypes, ...Object.keys(lists)])].map((name) => [
    name,
    {
      ...(valueTypes.includes(name) && { merge: true }),
      ...(name.endsWith('Connection') && { fields: { edges: { merge: edges } } }),
      ...lists[name],
    },
  ]),
);
