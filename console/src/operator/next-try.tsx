import { useNow } from '../api/clock';
import { Countdown } from '../pieces/times';

/** "Next try 00:43", and "Next try now" once that is over. */
export function NextTry({ at }: { at: string }) {
  return <>Next try {Date.parse(at) <= useNow() ? <b>now</b> : <Countdown until={at} />}</>;
}
