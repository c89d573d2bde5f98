import { useEffect, useRef, useState } from 'react';
import { useClient } from 'urql';
import { Link } from 'wouter';
import type { SagaDefinition } from '../../api/definitions.graphql';
import type { Saga } from '../../api/saga.graphql';
import { duration, plural, sentence } from '../../pieces/format';
import { Panel } from '../../pieces/panel';
import { Badge } from '../../saga/badge';
import { MiniLine } from '../../saga/mini-line';
import type { StateName } from '../../saga/states';
import { plainName } from '../../saga/words';
import { previewOf } from './definition';
import {
  differencesOf,
  expectedOf,
  type Ground,
  memberWithPoints,
  runScenario,
  type Scenario,
  scenariosOf,
} from './scenarios';

interface Row {
  readonly scenario: Scenario;
  readonly phase: 'idle' | 'waiting' | 'running' | 'over';
  readonly saga: Saga | null;
  readonly differences: readonly string[];
  readonly milliseconds: number | null;
}

/** All scenarios one after the other on one flight, and of each what was expected and what was seen. */
export function ScenarioTable({
  definitions,
  flightId,
  isLive,
}: {
  definitions: readonly SagaDefinition[];
  flightId: string | null;
  isLive: boolean;
}) {
  const { rows, isRunning, trouble, run, stop } = useScenarios(definitions);
  const done = rows.filter((row) => row.phase === 'over');
  const passed = done.filter((row) => row.differences.length === 0);
  const canRun = flightId !== null && isLive;
  return (
    <Panel
      title="All scenarios"
      className="full scenarios"
      end={
        <>
          <span role="status">
            {trouble ?? (done.length > 0 ? `${done.length} of ${rows.length} done, ${passed.length} as expected` : '')}
          </span>
          <button
            type="button"
            className="btn small"
            aria-disabled={!isRunning && !canRun}
            onClick={() => (isRunning ? stop() : canRun && void run(flightId))}
          >
            {isRunning ? 'Stop' : done.length > 0 ? 'Run all again' : 'Run all'}
          </button>
        </>
      }
    >
      <div className="scroll-x" tabIndex={0} role="region" aria-label="Table of all scenarios">
        <table className="table">
          <thead>
            <tr>
              <th scope="col">Scenario</th>
              <th scope="col">Booking</th>
              <th scope="col">Line</th>
              <th scope="col">Expected</th>
              <th scope="col">Seen</th>
              <th scope="col" className="num">
                Time
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <ScenarioRow key={`${row.scenario.definition.name}-${row.scenario.outcome.name}`} row={row} />
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function ScenarioRow({ row }: { row: Row }) {
  const { scenario, saga } = row;
  const { failAt } = scenario.outcome;
  const name = failAt === null ? sentence(scenario.outcome.name) : `${plainName(failAt)} fails`;
  return (
    <tr>
      <th scope="row">{saga ? <Link href={`/saga/${saga.correlationId}`}>{name}</Link> : name}</th>
      <td className="quiet">{scenario.redeems ? 'Redeem points' : 'Earn miles'}</td>
      <td>
        <MiniLine saga={saga ?? previewOf(scenario.definition)} />
      </td>
      <td>{expectedSaid(scenario)}</td>
      <td>
        <Badge {...seenOf(row)} />
        {row.differences.length > 0 && (
          <ul className="differences">
            {row.differences.map((difference) => (
              <li key={difference}>{difference}</li>
            ))}
          </ul>
        )}
      </td>
      <td className="num mono quiet">{row.milliseconds === null ? '–' : duration(row.milliseconds)}</td>
    </tr>
  );
}

function expectedSaid(scenario: Scenario): string {
  const { status, compensations } = expectedOf(scenario);
  if (status === 'COMPLETED') return 'Completed';
  return compensations.length === 0 ? 'Failed, nothing to undo' : `${plural(compensations.length, 'step')} undone`;
}

function seenOf({ phase, differences }: Row): { state: StateName; word: string } {
  switch (phase) {
    case 'idle':
      return { state: 'pending', word: 'Not run' };
    case 'waiting':
      return { state: 'pending', word: 'Waiting' };
    case 'running':
      return { state: 'running', word: 'Running now' };
    case 'over':
      return differences.length === 0
        ? { state: 'completed', word: 'As expected' }
        : { state: 'failed', word: 'Differs' };
  }
}

function fresh(scenario: Scenario, phase: 'idle' | 'waiting'): Row {
  return { scenario, phase, saga: null, differences: [], milliseconds: null };
}

/** Runs them one after the other until the page is left. */
function useScenarios(definitions: readonly SagaDefinition[]) {
  const client = useClient();
  const [rows, setRows] = useState(() => scenariosOf(definitions).map((scenario) => fresh(scenario, 'idle')));
  const [isRunning, setIsRunning] = useState(false);
  const [trouble, setTrouble] = useState<string | null>(null);
  const stopping = useRef<AbortController | null>(null);
  useEffect(() => () => stopping.current?.abort(), []);

  const run = async (flightId: string): Promise<void> => {
    const stop = new AbortController();
    stopping.current = stop;
    const { signal } = stop;
    const scenarios = scenariosOf(definitions);
    setRows(scenarios.map((scenario) => fresh(scenario, 'waiting')));
    setTrouble(null);
    setIsRunning(true);
    try {
      const ground = { client, flightId, signal, memberNumber: await memberWithPoints(client, signal) };
      for (const [index, scenario] of scenarios.entries()) await runRow(index, scenario, ground, setRows);
    } catch (error) {
      if (!signal.aborted) setTrouble(error instanceof Error ? error.message : String(error));
      setRows((before) => before.map((row) => (row.phase === 'over' ? row : fresh(row.scenario, 'idle'))));
    } finally {
      setIsRunning(false);
    }
  };
  return { rows, isRunning, trouble, run, stop: () => stopping.current?.abort() };
}

async function runRow(
  index: number,
  scenario: Scenario,
  ground: Ground,
  setRows: React.Dispatch<React.SetStateAction<Row[]>>,
): Promise<void> {
  const set = (change: Partial<Row>): void =>
    setRows((before) => before.map((row, at) => (at === index ? { ...row, ...change } : row)));
  const began = performance.now();
  set({ phase: 'running' });
  let differences: string[];
  try {
    const seen = await runScenario(scenario, crypto.randomUUID(), ground, (saga) => set({ saga }));
    differences = differencesOf(expectedOf(scenario), seen);
  } catch (error) {
    ground.signal.throwIfAborted();
    differences = [error instanceof Error ? error.message : String(error)];
  }
  set({ phase: 'over', differences, milliseconds: performance.now() - began });
}
