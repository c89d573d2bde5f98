import { useCallback, useRef, useState } from 'react';
import { type Setup, setupOf } from './setup';

/** Changes parts of the newest form, and returns all of it. */
export type Merge = (part: (newest: Setup) => Partial<Setup>) => Setup;

/**
 * The form, first as the address says. Each change is made to the newest form, which the page may not have drawn yet:
 * a person ticks a step while the page fills in the first flight, and both stay.
 */
export function useSetup(params: URLSearchParams): [Setup, Merge] {
  const [setup, setSetup] = useState(() => setupOf(params));
  const newest = useRef(setup);
  const merge: Merge = useCallback((part) => {
    newest.current = { ...newest.current, ...part(newest.current) };
    setSetup(newest.current);
    return newest.current;
  }, []);
  return [setup, merge];
}
