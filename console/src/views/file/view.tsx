import { useState } from 'react';
import { Banner } from '../../pieces/notices';
import { Panel } from '../../pieces/panel';
import { Time } from '../../pieces/times';
import { ZoneChoice } from '../../pieces/zone';
import { SagaBadge } from '../../saga/badge';
import { History } from '../../saga/event-log';
import { textOf } from '../../saga/event-text';
import { FILE_BYTES_MAX, readFile, type SagaFile } from '../../saga/file';
import { Line } from '../../saga/line';
import { sagaAfter } from '../../saga/replay';
import { sentenceOf } from '../../saga/sentence';
import { Timing, TimingKey } from '../../saga/timing';
import { definitionWord, eventWord } from '../../saga/words';
import { useTitle } from '../../shell/route-focus';
import { Journey } from '../saga/journey';
import { BookingPanel, PaymentPanel } from '../saga/outcome';
import { LeftBehind } from '../saga/top';
import '../saga/saga.css';
import './file.css';

/** A saga that was saved as a file, read-only and step by step. It is read in this page; nothing is sent. */
export function FileView() {
  useTitle('Saved saga');
  const [file, setFile] = useState<SagaFile | null>(null);
  const [why, setWhy] = useState<string | null>(null);
  const open = async (chosen: File | undefined): Promise<void> => {
    if (chosen === undefined) return;
    const read =
      chosen.size > FILE_BYTES_MAX
        ? { why: `The file has ${Math.ceil(chosen.size / 1e6)} MB; a saved saga has at most ${FILE_BYTES_MAX / 1e6}.` }
        : readFile(await chosen.text());
    setFile(read.file ?? null);
    setWhy(read.why ?? null);
  };
  return (
    <div
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => {
        event.preventDefault();
        void open(event.dataTransfer.files[0]);
      }}
    >
      <div className="head">
        <div>
          <h1>Saved saga</h1>
          <p>Read-only. The file is read in this page; nothing of it is sent to the server.</p>
        </div>
        <div className="end">
          <label className="btn choose">
            Choose a file
            <input
              className="vh"
              type="file"
              accept=".json,application/json"
              onChange={({ currentTarget }) => {
                void open(currentTarget.files?.[0]);
                currentTarget.value = '';
              }}
            />
          </label>
        </div>
      </div>
      {why !== null && (
        <Banner tone="error" title="The file cannot be opened.">
          {why}
        </Banner>
      )}
      {file !== null && <Shown key={file.savedAt + file.saga.correlationId} file={file} />}
      {file === null && why === null && (
        <section className="panel pad">
          Choose a file that was saved from the page of a saga, or drop it here. Then go through its history, one event
          at a time.
        </section>
      )}
    </div>
  );
}

function Shown({ file: { saga, events, savedAt } }: { file: SagaFile }) {
  const [count, setCount] = useState(events.length);
  const past = events.slice(0, count);
  const then = sagaAfter(saga, events, count);
  const isEnd = count === events.length;
  const last = past.at(-1);
  return (
    <>
      <section className="panel top" aria-labelledby="sentence">
        <div>
          <div className="lead">
            <SagaBadge saga={then} />
            <h2 id="sentence">{sentenceOf(then)}</h2>
          </div>
          <p>
            <span className="mono">{saga.correlationId}</span>, started <Time at={saga.startedAt} />, saved{' '}
            <Time at={savedAt} />.
          </p>
          {isEnd && <LeftBehind saga={saga} events={events} />}
        </div>
      </section>
      <section className="panel steps-through" aria-label="Step by step">
        <button type="button" className="btn" disabled={count <= 1} onClick={() => setCount(count - 1)}>
          Back
        </button>
        <button type="button" className="btn" disabled={isEnd} onClick={() => setCount(count + 1)}>
          Next
        </button>
        <input
          type="range"
          aria-label="Event"
          min={1}
          max={events.length}
          value={count}
          onChange={(event) => setCount(Number(event.target.value))}
        />
        <p role="status">
          {count} of {events.length}
          {last && (
            <>
              : <b>{eventWord(last.type)}</b> {textOf(last)}
            </>
          )}
        </p>
      </section>
      <div className="saga-cols">
        <div>
          <Panel title="Line" end={`${definitionWord(saga.definition)}, version ${saga.definitionVersion}`}>
            <Line saga={then} />
          </Panel>
          <Panel title="Timing" end={<TimingKey />}>
            <Timing saga={then} events={past} at={Date.parse(isEnd ? savedAt : (last?.at ?? savedAt))} />
          </Panel>
          <Panel title="History" className="history-panel" end={<ZoneChoice />}>
            <History events={past} />
          </Panel>
        </div>
        <div>
          <p className="quiet">As saved:</p>
          <Journey saga={saga} />
          <PaymentPanel saga={saga} />
          <BookingPanel saga={saga} />
        </div>
      </div>
    </>
  );
}
