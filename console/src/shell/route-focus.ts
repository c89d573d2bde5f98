import { type RefObject, useEffect, useRef } from 'react';
import { useLocation } from 'wouter';
import { hasComeBack } from './came-back';

/**
 * After a change of route focus goes to <main>, and the page begins at its top; not at the first, nor for a query. After
 * Back and Forward the browser, or the view, has the place where it was left.
 */
export function useRouteFocus(): RefObject<HTMLElement | null> {
  const main = useRef<HTMLElement | null>(null);
  const [path] = useLocation();
  const seen = useRef(path);
  useEffect(() => {
    if (path === seen.current) return;
    seen.current = path;
    if (!hasComeBack()) scrollTo(0, 0);
    // A view that was left may have put the focus where it was.
    if (!main.current?.contains(document.activeElement)) main.current?.focus({ preventScroll: true });
  }, [path]);
  return main;
}

/** The document's title: the view's name, then the product's. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · seatsaga`;
  }, [title]);
}
