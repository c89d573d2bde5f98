import { useNow } from '../api/clock';
import { dueAt } from '../pieces/due';
import { Countdown } from '../pieces/times';

/** "Next try 00:43", then "Next try now"; "Next try in line" where it waits for a place among the calls. */
export function NextTry({ at }: { at: string }) {
  const due = dueAt(at, useNow());
  return <>Next try {due === 'later' ? <Countdown until={at} /> : <b>{due}</b>}</>;
}
