/** A source that ends each attempt as the test says. */

import { setImmediate } from 'node:timers/promises';
import type { Request, Result, Sink, Source } from '../src/index.js';

export const QUERY = 'subscription ($correlationId: UUID!, $after: Int!) { sagaEvents { sequence type } }';

/** What an attempt does, after it has sent these events. */
export type Ending = { complete: true } | { error: unknown } | { result: Result } | 'silence'; // a result completes

export interface Attempt {
  readonly sends: readonly number[];
  readonly ends: Ending;
}

export class Scripted implements Source {
  /** The cursor of each attempt. */
  readonly cursors: unknown[] = [];
  stopped = 0;
  readonly #attempts: Attempt[];
  readonly #last: number;

  /** `last`: the sequence of the terminal event. */
  constructor(attempts: readonly Attempt[], last = 5) {
    this.#attempts = [...attempts];
    this.#last = last;
  }

  subscribe(request: Request, sink: Sink): () => void {
    this.cursors.push((JSON.parse(JSON.stringify(request)) as Request).variables?.['after']);
    const { sends, ends } = this.#attempts.shift() ?? { sends: [], ends: 'silence' as const };
    void this.#play(sends, ends, sink);
    return () => void this.stopped++;
  }

  async #play(sends: readonly number[], ends: Ending, sink: Sink): Promise<void> {
    for (const sequence of sends) {
      await setImmediate();
      sink.next(event(sequence, sequence === this.#last ? 'SAGA_COMPLETED' : 'STEP_STARTED'));
    }
    await setImmediate();
    if (ends === 'silence') return;
    if ('complete' in ends) sink.complete();
    else if ('error' in ends) sink.error(ends.error);
    else {
      sink.next(ends.result);
      sink.complete();
    }
  }
}

export function event(sequence: number, type: string): Result {
  return { data: { sagaEvents: { sequence, type } } };
}

export function failed(code: string, facts: object = {}): Result {
  return { data: null, errors: [{ message: `It is ${code}.`, extensions: { code, ...facts } }] };
}

/** Records what a subscription came to, and settles when it is over. */
export async function heard(
  client: Source,
  after: number | null = 0,
  query = QUERY,
): Promise<{ sequences: number[]; error: unknown; isComplete: boolean; errors: unknown }> {
  const sequences: number[] = [];
  let errors: unknown;
  return new Promise((resolve) => {
    client.subscribe(
      { query, variables: after === null ? {} : { correlationId: 'any', after } },
      {
        next: (result: Result) => {
          if (result.errors) errors = result.errors;
          else sequences.push(Object.values<{ sequence: number }>(result.data)[0]!.sequence);
        },
        error: (error: unknown) => resolve({ sequences, error, isComplete: false, errors }),
        complete: () => resolve({ sequences, error: undefined, isComplete: true, errors }),
      },
    );
  });
}
