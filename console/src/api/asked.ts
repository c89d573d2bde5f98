import { useCallback, useEffect, useRef, useState } from 'react';
import { useOnReconnect } from './connection';
import { whenSeen } from './read';
import type { Answer, Problem } from './scheduler';

/** What /admin/scheduler answered. `value` stays where a later asking fails. */
export interface Answered<Value> {
  readonly value: Value | null;
  readonly problem: Problem | null;
  again(): void;
}

/** Ask whenever `key` changes, after each interruption, and `everyMs` after each answer while the page is seen. */
export function useAnswer<Value>(key: string, ask: () => Promise<Answer<Value>>, everyMs?: number): Answered<Value> {
  const [state, setState] = useState<{ value: Value | null; problem: Problem | null }>({ value: null, problem: null });
  const [turn, setTurn] = useState(0);
  const latest = useRef(ask);
  useEffect(() => {
    latest.current = ask;
  });
  const again = useCallback(() => setTurn((before) => before + 1), []);
  useOnReconnect(again);
  useEffect(() => {
    let isWanted = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    void latest.current().then((answer) => {
      if (!isWanted) return;
      setState((before) =>
        answer.problem ? { ...before, problem: answer.problem } : { value: answer.value, problem: null },
      );
      if (everyMs !== undefined) timer = setTimeout(() => whenSeen(again), everyMs);
    });
    return () => {
      isWanted = false;
      clearTimeout(timer);
    };
  }, [key, turn, again, everyMs]);
  return { ...state, again };
}
