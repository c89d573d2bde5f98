import { type RefObject, useEffect } from 'react';
import { isTyping } from './search';

const STEPS: Readonly<Record<string, number>> = { j: 1, k: -1 };

/** `j` and `k` go from one saga's link to the next and back; Enter is the link's own. */
export function useRowKeys(within: RefObject<HTMLElement | null>): void {
  useEffect(() => {
    const move = (event: KeyboardEvent): void => {
      const step = STEPS[event.key];
      if (step === undefined || isTyping(event)) return;
      const links = [...(within.current?.querySelectorAll<HTMLElement>('a[data-row]') ?? [])];
      const here = links.indexOf(document.activeElement as HTMLElement);
      const next = here < 0 ? 0 : Math.min(links.length - 1, Math.max(0, here + step));
      links[next]?.focus();
    };
    addEventListener('keydown', move);
    return () => removeEventListener('keydown', move);
  }, [within]);
}
