import { useEffect, useRef, useState } from 'react';

/** Items within this time are one burst. */
const BURST_MS = 800;

/** The announcement for screen readers about new items, after each burst; the first items are not announced. */
export function useSpoken<Item>(items: readonly Item[], say: (fresh: readonly Item[]) => string): string {
  const [said, setSaid] = useState('');
  const told = useRef<number | null>(null);
  const latest = useRef(say);
  useEffect(() => {
    latest.current = say;
  });
  useEffect(() => {
    const timer = setTimeout(() => {
      const from = told.current;
      told.current = items.length;
      if (from !== null && items.length > from) setSaid(latest.current(items.slice(from)));
    }, BURST_MS);
    return () => clearTimeout(timer);
  }, [items]);
  return said;
}
