import { type RefObject, useEffect, useRef } from 'react';
import { useLocation } from 'wouter';

/** After a change of route focus goes to <main>, and the page begins at its top; not at the first, nor for a query. */
export function useRouteFocus(): RefObject<HTMLElement | null> {
  const main = useRef<HTMLElement | null>(null);
  const [path] = useLocation();
  const seen = useRef(path);
  useEffect(() => {
    if (path === seen.current) return;
    seen.current = path;
    scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  }, [path]);
  return main;
}

/** The document's title: the view's name, then the product's. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · seatsaga`;
  }, [title]);
}
