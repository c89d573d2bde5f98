import type { StepDefinition } from '../../api/definitions.graphql';
import { plainName } from '../../saga/words';
import type { FaultName, Faults } from './definition';
import { type Change, DELAY_MS_MAX, type Setup } from './setup';

/** What is to go wrong: steps down, ways across; rows follow the chosen booking, ticks stay at their position. */
export function FaultsSection({
  setup,
  change,
  steps,
}: {
  setup: Setup;
  change: Change;
  steps: readonly StepDefinition[];
}) {
  return (
    <section>
      <h2>
        What should go wrong <span>by fault injection</span>
      </h2>
      <table className="faults">
        <thead>
          <tr>
            <th scope="col">Step</th>
            <th scope="col">Fails</th>
            <th scope="col">
              Answer
              <br />
              is lost
            </th>
            <th scope="col">
              Undo
              <br />
              fails
            </th>
          </tr>
        </thead>
        <tbody>
          {steps.map((step, index) => (
            <Row
              key={index}
              step={step}
              index={index}
              faults={setup.faults}
              onTick={(fault, isTicked) => change({ faults: ticked(setup.faults, fault, index, isTicked) })}
            />
          ))}
        </tbody>
      </table>
      <label className="pause">
        <span>Pause in each step</span>
        <input
          type="range"
          min={0}
          max={DELAY_MS_MAX}
          step={100}
          value={setup.delayMs}
          aria-valuetext={`${(setup.delayMs / 1_000).toFixed(1)} seconds`}
          onChange={({ target }) => change({ delayMs: Number(target.value) })}
        />
        <b>{(setup.delayMs / 1_000).toFixed(1)} s</b>
      </label>
    </section>
  );
}

function Row({
  step,
  index,
  faults,
  onTick,
}: {
  step: StepDefinition;
  index: number;
  faults: Faults;
  onTick: (fault: FaultName, isTicked: boolean) => void;
}) {
  const name = plainName(step.name);
  const tick = (fault: FaultName, label: string) => (
    <input
      className="check"
      type="checkbox"
      aria-label={label}
      checked={faults[fault][index] ?? false}
      onChange={({ target }) => onTick(fault, target.checked)}
    />
  );
  return (
    <tr>
      <th scope="row">{name}</th>
      <td>{tick('fails', `${name} fails`)}</td>
      <td>
        {step.isRemote ? (
          tick('loses', `${name} loses its answer`)
        ) : (
          <span className="quiet" title="It calls no other system, so no answer can be lost">
            <span aria-hidden="true">–</span>
            <span className="vh">has no answer to lose</span>
          </span>
        )}
      </td>
      <td>{step.compensation && tick('undoFails', `${plainName(step.compensation)} keeps failing`)}</td>
    </tr>
  );
}

function ticked(faults: Faults, fault: FaultName, index: number, isTicked: boolean): Faults {
  return { ...faults, [fault]: faults[fault].map((old, at) => (at === index ? isTicked : old)) };
}
