import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';

/** This near to its end one is at it. */
const NEAR_PX = 24;

interface End {
  readonly frame: RefObject<HTMLDivElement | null>;
  /** Rows that came since the end was left. */
  readonly missed: number;
  readonly toEnd: () => void;
}

/** A frame that scrolls, and keeps to its end as rows come in, unless its reader has gone elsewhere in it. */
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
