import { type RefObject, useLayoutEffect, useRef } from 'react';
import { hasComeBack } from '../../shell/came-back';
import type { SagaList } from './list';

/** A list as it was left. */
interface Left {
  list: SagaList;
  scrollY: number;
  /** The address of the saga that was opened from it. */
  opened: string | null;
}

const LISTS_MAX = 20;
const lists = new Map<string, Left>();

/** The list that was shown at this address, where Back leads to it; null otherwise. */
export function listLeft(): SagaList | null {
  return hasComeBack() ? (lists.get(location.search)?.list ?? null) : null;
}

export function keepList(list: SagaList): void {
  const { scrollY = 0, opened = null } = lists.get(location.search) ?? {};
  lists.delete(location.search);
  lists.set(location.search, { list, scrollY, opened });
  const oldest = lists.keys().next().value;
  if (lists.size > LISTS_MAX && oldest !== undefined) lists.delete(oldest);
}

/** Back leads to the place in the list where it was left, and to the saga that was opened; another page to its top. */
export function useKeptPlace(within: RefObject<HTMLElement | null>, list: SagaList | null): void {
  const placed = useRef<string | null>(null);
  useLayoutEffect(() => {
    const search = location.search;
    if (list === null || placed.current === search) return;
    const isFirst = placed.current === null;
    placed.current = search;
    const left = hasComeBack() ? lists.get(search) : undefined;
    if (left !== undefined) {
      scrollTo(0, left.scrollY);
      within.current
        ?.querySelector<HTMLElement>(`a[data-row][href="${CSS.escape(left.opened ?? '')}"]`)
        ?.focus({ preventScroll: true });
    } else if (!isFirst) scrollTo(0, 0);
  }, [within, list]);
  useLayoutEffect(() => {
    const note = (change: Partial<Left>): void => {
      const left = lists.get(location.search);
      if (left !== undefined && placed.current === location.search) Object.assign(left, change);
    };
    const onScroll = (): void => note({ scrollY });
    const onClick = ({ target }: Event): void => {
      const link = target instanceof Element ? target.closest('a[data-row]') : null;
      if (link !== null) note({ scrollY, opened: link.getAttribute('href') });
    };
    addEventListener('scroll', onScroll, { passive: true });
    // Before the router leaves.
    addEventListener('click', onClick, { capture: true });
    return () => {
      removeEventListener('scroll', onScroll);
      removeEventListener('click', onClick, { capture: true });
    };
  }, []);
}
