import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { useQuery } from 'urql';
import { useLocation, useSearchParams } from 'wouter';
import { serverNow } from '../../api/clock';
import { useIsLive } from '../../api/connection';
import { useDefinitionsRead } from '../../api/definitions';
import type { SagaDefinition } from '../../api/definitions.graphql';
import { useSeats } from '../../api/follow';
import type { TimetableQuery } from '../../api/generated/graphql';
import { Failure, Loading } from '../../pieces/notices';
import { Panel } from '../../pieces/panel';
import { Queue } from '../../saga/queue';
import { TERMINAL } from '../../saga/states';
import { definitionWord } from '../../saga/words';
import { useTitle } from '../../shell/route-focus';
import { bookingAsGraphql, followingAsGraphql } from './as-graphql';
import { asksItsHolder, CARD_DEFAULT } from './cards';
import { type Choice, choose, claimsOn, stillFree, turnOf } from './claims';
import { bookingOf, type Faults, hintOn, isFaulty, NO_FAULTS, previewOf } from './definition';
import { Demo } from './demo';
import { FaultsSection } from './faults-section';
import { useFlightSearch } from './flight-search';
import { FlightSection } from './flight-section';
import { Go } from './go';
import { hasWaited } from './hold';
import { HoldPanel } from './hold-panel';
import { Jump } from './jump';
import { LogPanel } from './log-panel';
import { PassengersSection } from './passengers-section';
import { PaymentSection } from './payment-section';
import { totalOf } from './prices';
import { requestOf, whyNot } from './request';
import { Result } from './result';
import { useRun } from './run';
import { RunPanel } from './run-panel';
import { ScenarioTable } from './scenario-table';
import { SeatsPanel } from './seats-panel';
import { DAYS_AWAY, daysLater, localDate, ofSaga, paramsOf, type Setup } from './setup';
import { Timetable } from './test.graphql';
import { type Merge, useSetup } from './use-setup';
import './test.css';

const DAY_MS = 86_400_000;
/** A demonstration's pause in each step, at least: with two steps undone it is over after five seconds. */
const DEMO_DELAY_MS = 1_000;
const NO_AIRPORTS: TimetableQuery['airports'] = [];

/** Book, or let a booking fail, and watch its saga. `correlationId`: of the run that is shown; null before the first. */
export function TestView({ correlationId }: { correlationId: string | null }) {
  useTitle('Test console');
  const { data, trouble, again } = useDefinitionsRead();
  if (data !== null) return <TestConsole correlationId={correlationId} definitions={data.sagaDefinitions} />;
  if (trouble === null) return <Loading what="the sagas of this server" />;
  return <Failure trouble={trouble} meaning="The sagas of this server could not be read." onRetry={again} />;
}

function TestConsole({
  correlationId: inPath,
  definitions,
}: {
  correlationId: string | null;
  definitions: readonly SagaDefinition[];
}) {
  const [, navigate] = useLocation();
  const [params] = useSearchParams();
  const correlationId = inPath ?? params.get('id');
  const [setup, merge] = useSetup(params);
  const definition = bookingOf(definitions, setup.pays);
  const isLive = useIsLive();

  const show = useCallback(
    (next: Setup, id: string | null, isNew: boolean) =>
      navigate(`/saga/test?${paramsOf(next, id)}`, { replace: !isNew }),
    [navigate],
  );
  const change = (part: Partial<Setup>): void => {
    const next = merge(() => part);
    if (next.cabin !== setup.cabin) setChoices({});
    if (inPath === null) show(next, correlationId, false);
  };
  const run = useRun(correlationId, (id) =>
    show(
      merge(() => ({})),
      id,
      id !== null,
    ),
  );
  const { saga } = run;
  useBeginning(setup, merge, correlationId, run.error === null ? saga : null, run.error !== null);

  const [{ data: timetable }] = useQuery({ query: Timetable, pause: false });
  useFirstTrip(setup, merge, correlationId === null || run.error !== null ? timetable : undefined);
  const found = useFlightSearch(setup);
  const flights = found.chosen.length > 0 ? found.chosen : (saga?.flights ?? []);

  const { again } = found;
  const isPriceOld = run.refusal?.code === 'PriceChangedError';
  useEffect(() => {
    if (isPriceOld) again();
  }, [isPriceOld, again]);

  const [leg, setLeg] = useState(0);
  const shown = Math.min(leg, Math.max(0, flights.length - 1));
  const flightId = flights[shown]?.id ?? null;
  const { seats, error: seatsError } = useSeats(flightId);
  const [choices, setChoices] = useState<Readonly<Record<string, Choice>>>({});
  const [wanted, setWanted] = useState<number | null>(null);
  const people = setup.people.length;
  const choiceOn = (id: string): Choice => Array.from({ length: people }, (_, index) => choices[id]?.[index] ?? null);
  const choice = flightId === null ? [] : stillFree(choiceOn(flightId), seats);
  const claims = useMemo(
    () => (flightId === null ? new Map() : claimsOn(flightId, saga, choice)),
    [flightId, saga, choice.join()],
  );
  const turn = turnOf(choice, wanted);
  const chooseSeat = (number: string): void => {
    if (flightId === null) return;
    setChoices({ ...choices, [flightId]: choose(choice, number, turn) });
    setWanted(null);
  };
  const removePassenger = (index: number): void => {
    setChoices(
      Object.fromEntries(Object.entries(choices).map(([id, chosen]) => [id, chosen.filter((_, at) => at !== index)])),
    );
    setWanted(null);
    change({ people: setup.people.filter((_, at) => at !== index) });
  };

  const runPanel = useRef<HTMLDivElement>(null);
  const chosen = found.chosen.map((flight) => ({
    flight,
    seats: flight.id === flightId ? choice : choiceOn(flight.id),
  }));
  const reason = isLive ? (run.isSending ? 'Asking for a booking.' : whyNot(setup, chosen, found)) : 'Not connected.';
  const start = (faults: Faults): void => {
    run.start(requestOf({ ...setup, faults }, chosen, definition));
    revealIfBelow(runPanel.current);
  };
  const hold = (): void => {
    merge(() => ({ when: 'later' }));
    run.start(requestOf({ ...setup, when: 'later', faults: NO_FAULTS }, chosen, definition));
  };
  const demonstrate = (faults: Faults): void => {
    run.start(requestOf(demoOf(faults), chosen, definition));
    revealIfBelow(runPanel.current);
  };
  // Whatever the form says of cards and holds, the step that fails is the chosen one.
  const demoOf = (faults: Faults): Setup => ({
    ...setup,
    when: 'now',
    card: CARD_DEFAULT,
    faults,
    delayMs: Math.max(setup.delayMs, DEMO_DELAY_MS),
  });
  const [unasked] = useState(() => crypto.randomUUID());
  const linkFor = (faults: Faults): string => {
    if (run.request !== null) return bookingAsGraphql(run.request);
    if (correlationId !== null) return followingAsGraphql(correlationId);
    return bookingAsGraphql({ ...requestOf(demoOf(faults), chosen, definition), correlationId: unasked });
  };
  const waited = hasWaited(saga, run.events);
  const mayWait = setup.when === 'later' || asksItsHolder(setup.card);
  const canPay = waited || (mayWait && saga?.definition !== 'CANCEL_BOOKING');
  const isOver = saga !== null && TERMINAL.has(saga.status);
  const queued = saga ?? previewOf(definition);

  return (
    <>
      <h1 className="vh">Test console</h1>
      <Jump canPay={canPay} />
      <div className="work">
        <Demo definition={definition} saga={saga} reason={reason} linkFor={linkFor} onRun={demonstrate} />
        <form className="panel setup" id="setup" aria-label="Set up a run" onSubmit={(event) => event.preventDefault()}>
          <div className="sections">
            <FlightSection setup={setup} change={change} airports={timetable?.airports ?? NO_AIRPORTS} found={found} />
            <PassengersSection
              setup={setup}
              change={change}
              flights={found.chosen}
              claims={claims}
              turn={turn}
              onTurn={setWanted}
              onRemove={removePassenger}
            />
            <PaymentSection setup={setup} change={change} flights={found.chosen} status={saga?.status ?? null} />
          </div>
          <FaultsSection setup={setup} change={change} steps={definition.steps} />
          <Go
            word={setup.when === 'later' ? 'Hold the seats' : 'Run success'}
            reason={reason}
            hint={hintOn(setup.faults, definition)}
            isFaulty={isFaulty(setup.faults, definition)}
            onSuccess={() => start(NO_FAULTS)}
            onFailure={() => start(setup.faults)}
            onClear={run.forget}
          />
        </form>
        <div className="live" ref={runPanel}>
          {canPay && (
            <HoldPanel
              saga={saga}
              events={run.events}
              isPaidHere={run.isPaidHere}
              total={totalOf(found.chosen, setup.cabin, people)}
            />
          )}
          <RunPanel run={run} correlationId={correlationId} definition={definition} onHold={hold} />
          <Panel
            title="Queue"
            className="queue-panel"
            end={`${definitionWord(queued.definition)}, version ${queued.definitionVersion}`}
          >
            <div className="pad queue-in">
              <Queue saga={queued} />
            </div>
          </Panel>
          <SeatsPanel
            flights={flights}
            shown={shown}
            onShow={setLeg}
            seats={seats}
            error={seatsError}
            cabin={setup.cabin}
            claims={claims}
            onChoose={chooseSeat}
          />
          <LogPanel key={correlationId} events={run.events} isOver={isOver} />
          <Result saga={saga} delayMs={setup.delayMs} onFollow={(id) => show(setup, id, true)} />
          <ScenarioTable definitions={definitions} flightId={found.chosen[0]?.id ?? null} isLive={isLive} />
        </div>
      </div>
    </>
  );
}

/** Who came by the address of a saga alone finds the form as that saga was asked for. */
function useBeginning(
  setup: Setup,
  merge: Merge,
  correlationId: string | null,
  saga: ReturnType<typeof useRun>['saga'],
  isMissing: boolean,
): void {
  const [from] = useState({ correlationId, isBare: setup.from === null });
  const isDone = useRef(correlationId === null);
  useEffect(() => {
    if (isDone.current || (saga === null && !isMissing)) return;
    isDone.current = true;
    if (saga === null || saga.correlationId !== from.correlationId) return;
    const { people, ...rest } = ofSaga(saga);
    merge(() => ({ ...(from.isBare && rest), ...(people && { people }) }));
  }, [merge, saga, isMissing, from]);
}

/** An empty form begins with the soonest flight that departs no sooner than in a day. */
function useFirstTrip(setup: Setup, merge: Merge, timetable: TimetableQuery | undefined): void {
  useEffect(() => {
    if (timetable === undefined || setup.from !== null) return;
    const flights = timetable.flights.edges.map((edge) => edge.node);
    const first = flights.find((flight) => Date.parse(flight.departsAt) > serverNow() + DAY_MS) ?? flights[0];
    if (first === undefined) return;
    const on = localDate(first.departsAt, first.origin.timeZone);
    merge(({ from, trip }) => {
      if (from !== null) return {};
      const back = trip === 'ROUND_TRIP' ? daysLater(on, DAYS_AWAY) : null;
      return { from: first.origin.code, to: first.destination.code, on, back };
    });
  }, [setup.from, merge, timetable]);
}

/** On a narrow page the line stands below the form. */
function revealIfBelow(element: HTMLElement | null): void {
  if (element !== null && element.getBoundingClientRect().top > innerHeight / 2) element.scrollIntoView();
}
