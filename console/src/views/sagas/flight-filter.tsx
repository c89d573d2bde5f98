import { useId, useRef, useState } from 'react';
import { read, useRead } from '../../api/read';
import type { Flight } from '../../api/saga.graphql';
import { FlightById, FlightsByNumber } from '../../api/sagas.graphql';
import { Icon } from '../../pieces/icon';
import { AirportTime } from '../../pieces/times';

/** One dated departure: its number is written, then one of its days is chosen. */
export function FlightFilter({ flight, onChoose }: { flight: string; onChoose: (flight: string) => void }) {
  return flight === '' ? <FlightField onChoose={onChoose} /> : <Chosen flight={flight} onClear={() => onChoose('')} />;
}

function Chosen({ flight, onClear }: { flight: string; onClear: () => void }) {
  const { data } = useRead(FlightById, flight, () => ({ id: flight }));
  const shown = data?.flight;
  return (
    <button type="button" className="btn chosen" onClick={onClear} title="Any flight again">
      {shown ? (
        <>
          <span className="mono">{shown.number}</span> {shown.origin.code} {shown.destination.code}{' '}
          <AirportTime at={shown.departsAt} timeZone={shown.origin.timeZone} day />
        </>
      ) : (
        'One flight'
      )}
      <Icon name="close" />
      <span className="vh">Any flight again</span>
    </button>
  );
}

function FlightField({ onChoose }: { onChoose: (flight: string) => void }) {
  const [found, setFound] = useState<readonly Flight[] | null>(null);
  const [said, setSaid] = useState('');
  const box = useRef<HTMLDivElement>(null);
  const list = useId();
  const find = async (text: string): Promise<void> => {
    const number = text.trim().toUpperCase().replace(/\s+/g, '');
    if (number === '') return setFound(null);
    const { data, trouble } = await read(FlightsByNumber, { number });
    const flights = data?.flights.edges.map(({ node }) => node) ?? [];
    setFound(flights);
    setSaid(trouble?.message ?? (flights.length === 0 ? `No flight ${number}` : `${flights.length} departures`));
    return undefined;
  };
  const close = (): void => {
    setFound(null);
    setSaid('');
  };
  return (
    <div
      className="flight-filter"
      ref={box}
      onBlur={({ relatedTarget }) => !box.current?.contains(relatedTarget) && close()}
      onKeyDown={(event) => event.key === 'Escape' && close()}
    >
      <input
        className="input"
        aria-label="Flight number, as SS101; Enter lists its departures"
        placeholder="Any flight"
        autoComplete="off"
        spellCheck={false}
        aria-controls={found === null ? undefined : list}
        onKeyDown={(event) => event.key === 'Enter' && void find(event.currentTarget.value)}
      />
      <span className="vh" role="status">
        {said}
      </span>
      {found !== null && (
        <ul className="departures" id={list} aria-label="Departures">
          {found.map((flight) => (
            <li key={flight.id}>
              <button type="button" onClick={() => onChoose(flight.id)}>
                <AirportTime at={flight.departsAt} timeZone={flight.origin.timeZone} day />{' '}
                <span className="quiet">
                  {flight.origin.code} {flight.destination.code}
                </span>
              </button>
            </li>
          ))}
          {found.length === 0 && <li className="quiet">{said}</li>}
        </ul>
      )}
    </div>
  );
}
