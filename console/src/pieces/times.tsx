import { useEffect, useRef, useState } from 'react';
import { useLeft } from '../api/clock';
import { left, spokenLeft } from './format';
import { timeZoneOf, useZone, type Zone } from './zone';

const clocks = { local: clocksIn('local'), utc: clocksIn('utc') };

function clocksIn(zone: Zone) {
  const timeZone = timeZoneOf(zone);
  return {
    timeZone,
    seconds: new Intl.DateTimeFormat('en-GB', { timeZone, hour: '2-digit', minute: '2-digit', second: '2-digit' }),
    day: new Intl.DateTimeFormat('en-GB', { timeZone, weekday: 'short', day: 'numeric', month: 'short' }),
  };
}

/** 14:32:05, or with `precise` 14:32:05.118; with the day before it where that is not today. */
export function Time({ at, precise = false }: { at: string; precise?: boolean }) {
  const { timeZone, seconds, day } = clocks[useZone()];
  const instant = new Date(at);
  const clock = seconds.format(instant) + (precise ? `.${String(instant.getMilliseconds()).padStart(3, '0')}` : '');
  const date = day.format(instant);
  return (
    <time dateTime={at} title={`${date} ${clock}, ${timeZone}`}>
      {date === day.format(new Date()) ? clock : `${date} ${clock}`}
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

/** 04:31, counting down to an instant of the server, never below zero; `about` names it to readers. */
export function Countdown({ until, about }: { until: string; about?: string }) {
  const milliseconds = useLeft(until);
  const said = useSpoken(milliseconds, about);
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

/** What readers are told of a countdown: now and then, not each second. */
function useSpoken(milliseconds: number, about: string | undefined): string {
  const [said, setSaid] = useState('');
  const before = useRef(milliseconds);
  useEffect(() => {
    const words = spokenLeft(before.current, milliseconds);
    before.current = milliseconds;
    if (words !== null && about !== undefined) setSaid(`${about}: ${words}`);
  }, [milliseconds, about]);
  return said;
}
