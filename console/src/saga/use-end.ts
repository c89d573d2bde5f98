import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';

/** A scroll position this near to the end counts as the end. */
const NEAR_PX = 24;

interface End {
  readonly frame: RefObject<HTMLDivElement | null>;
  /** Rows that came since the end was left. */
  readonly missed: number;
  readonly toEnd: () => void;
}

/** A scrolling frame that stays at its end while rows arrive, unless the user has scrolled away. */
export function useEnd(rows: number): End {
  const frame = useRef<HTMLDivElement | null>(null);
  const isAtEnd = useRef(true);
  const [leftAt, setLeftAt] = useState<number | null>(null);
  const toEnd = useCallback(() => {
    isAtEnd.current = true;
    setLeftAt(null);
    frame.current?.scrollTo({ top: frame.current.scrollHeight });
  }, []);
  useLayoutEffect(() => {
    if (isAtEnd.current) frame.current?.scrollTo({ top: frame.current.scrollHeight });
  }, [rows]);
  useEffect(() => {
    const element = frame.current;
    if (element === null) return undefined;
    const onScroll = (): void => {
      isAtEnd.current = element.scrollHeight - element.clientHeight - element.scrollTop < NEAR_PX;
      setLeftAt((before) => (isAtEnd.current ? null : (before ?? rows)));
    };
    element.addEventListener('scroll', onScroll, { passive: true });
    return () => element.removeEventListener('scroll', onScroll);
  }, [rows]);
  return { frame, missed: leftAt === null ? 0 : Math.max(0, rows - leftAt), toEnd };
}
