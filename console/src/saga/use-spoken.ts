import { useEffect, useRef, useState } from 'react';

/** What comes within this time is one burst. */
const BURST_MS = 800;

/** What readers are told of items that came in, once each burst is over; what was there at first is not told. */
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
