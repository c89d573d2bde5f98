// Books flights through the API and waits for each booking's end, for k6 (https://k6.io):
//
//   k6 run -e URL=http://127.0.0.1:8000 -e TOKEN=... -e BOOKINGS_PER_SECOND=20 -e SECONDS=30 bench/k6/bookings.js
//
// Without a URL it asks http://127.0.0.1:8000; without a TOKEN it sends none. It fails if a request fails, if a booking
// does not end COMPLETED, or if one takes longer than a second at the 95th percentile.

import { check } from 'k6';
import http from 'k6/http';
import { Rate, Trend } from 'k6/metrics';

const URL = `${__ENV.URL || 'http://127.0.0.1:8000'}/graphql`;
const HEADERS = {
  'Content-Type': 'application/json',
  Accept: 'application/graphql-response+json',
  ...(__ENV.TOKEN ? { Authorization: `Bearer ${__ENV.TOKEN}` } : {}),
};
const WAIT_SECONDS = 20;

const completed = new Rate('bookings_completed');
const duration = new Trend('booking_duration', true);

export const options = {
  scenarios: {
    bookings: {
      executor: 'constant-arrival-rate',
      rate: Number(__ENV.BOOKINGS_PER_SECOND || 20),
      timeUnit: '1s',
      duration: `${__ENV.SECONDS || 30}s`,
      preAllocatedVUs: 50,
      maxVUs: 500,
    },
  },
  thresholds: {
    http_req_failed: ['rate==0'],
    bookings_completed: ['rate==1'],
    booking_duration: ['p(95)<1000'],
  },
};

const FLIGHTS = `{ flights(first: 100) { edges { node { id fares { cabinClass seatsAvailable } } } } }`;
const BOOK = `mutation ($input: BookFlightInput!) {
  bookFlight(input: $input) { saga { correlationId } errors { __typename ... on UserError { code message } } }
}`;
const WATCH = `query ($id: UUID!, $seconds: Int!) { saga(correlationId: $id, waitSeconds: $seconds) { status } }`;

function ask(name, query, variables = {}) {
  const answer = http.post(URL, JSON.stringify({ query, variables }), { headers: HEADERS, tags: { name } });
  const { data, errors } = answer.json();
  if (errors) throw new Error(`${name}: ${JSON.stringify(errors)}`);
  return data;
}

/** The flights with room in ECONOMY. */
export function setup() {
  const nodes = ask('flights', FLIGHTS).flights.edges.map(({ node }) => node);
  const hasRoom = ({ fares }) => fares.some((fare) => fare.cabinClass === 'ECONOMY' && fare.seatsAvailable > 50);
  // An early flight may depart meanwhile.
  const flights = nodes.slice(nodes.length / 2).filter(hasRoom).map(({ id }) => id);
  if (!flights.length) throw new Error('No flight has room; load a timetable with: seatsaga seed');
  return { flights };
}

export default function ({ flights }) {
  const began = Date.now();
  const input = {
    segments: [{ flightId: flights[Math.floor(Math.random() * flights.length)] }],
    passengers: [{ givenName: 'Ada', familyName: 'Lovelace' }],
  };
  const { saga, errors } = ask('book', BOOK, { input }).bookFlight;
  check(errors, { 'the booking was taken': (list) => list.length === 0 });
  if (!saga) return completed.add(false);
  const { status } = ask('watch', WATCH, { id: saga.correlationId, seconds: WAIT_SECONDS }).saga;
  completed.add(status === 'COMPLETED');
  duration.add(Date.now() - began);
}
