import { useEffect, useRef, useState } from 'react';
import { useNow } from '../api/clock';
import { left } from './format';

/** The viewer's zone, to be named once a page. */
export const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;

const clocks = {
  seconds: new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' }),
  day: new Intl.DateTimeFormat('en-GB', { weekday: 'short', day: 'numeric', month: 'short' }),
};

/** 14:32:05, or with `precise` 14:32:05.118; with the day before it where that is not today. */
export function Time({ at, precise = false }: { at: string; precise?: boolean }) {
  const instant = new Date(at);
  const clock =
    clocks.seconds.format(instant) + (precise ? `.${String(instant.getMilliseconds()).padStart(3, '0')}` : '');
  const day = clocks.day.format(instant);
  return (
    <time dateTime={at} title={`${day} ${clock}, ${ZONE}`}>
      {day === clocks.day.format(new Date()) ? clock : `${day} ${clock}`}
    </time>
  );
}

/** 09:40 in the airport's own time, as on a ticket; `day` puts Wed 2 Dec before it. */
export function AirportTime({ at, timeZone, day = false }: { at: string; timeZone: string; day?: boolean }) {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    hour: '2-digit',
    minute: '2-digit',
    ...(day && ({ weekday: 'short', day: 'numeric', month: 'short' } as const)),
  });
  const said = format.format(new Date(at)).replaceAll(',', '');
  return (
    <time dateTime={at} title={`${said}, ${timeZone}`}>
      {said}
    </time>
  );
}

/** Seconds left at which a countdown is spoken, once each. */
const SPOKEN_AT = [120, 30] as const;

/** 04:31, counting down to an instant of the server, never below zero; `about` names it to readers. */
export function Countdown({ until, about }: { until: string; about?: string }) {
  const milliseconds = Date.parse(until) - useNow();
  const said = useSpoken(milliseconds / 1_000, about);
  return (
    <>
      <span className="mono countdown">{left(milliseconds)}</span>
      {about !== undefined && (
        <span className="vh" role="status">
          {said}
        </span>
      )}
    </>
  );
}

function useSpoken(seconds: number, about: string | undefined): string {
  const [said, setSaid] = useState('');
  const before = useRef(seconds);
  useEffect(() => {
    const passed = SPOKEN_AT.find((mark) => before.current > mark && seconds <= mark);
    before.current = seconds;
    if (passed !== undefined && about !== undefined) setSaid(`${about}: ${passed} seconds left`);
  }, [seconds, about]);
  return said;
}
