import { useMemo } from 'react';
import { Link, useSearchParams } from 'wouter';
import { serverNow } from '../../api/clock';
import type { OperatorActionFilter, OperatorActionKind } from '../../api/generated/graphql';
import { type OperatorActionEntry, OperatorActions } from '../../api/incidents.graphql';
import { read, useRead } from '../../api/read';
import { Suggested } from '../../api/sagas.graphql';
import { ListPage } from '../../operator/list-page';
import { ShortId } from '../../pieces/correlation-id';
import { Empty } from '../../pieces/notices';
import { Time } from '../../pieces/times';
import { uuidIn } from '../../saga/ids';
import { plainName } from '../../saga/words';
import { KINDS } from './kinds';
import './actions.css';

const PAGE = 50;
const READ_MS = 5_000;
const WINDOWS: Readonly<Record<string, { name: string; milliseconds: number }>> = {
  '1h': { name: 'Last hour', milliseconds: 3_600_000 },
  '24h': { name: 'Last 24 hours', milliseconds: 86_400_000 },
  '7d': { name: 'Last 7 days', milliseconds: 7 * 86_400_000 },
};
const NAMES = ['kind', 'subject', 'saga', 'window'] as const;
type Name = (typeof NAMES)[number];

/** Everything that operators did, newest first: who, what, why, and what it changed. The filter is in the address. */
export function ActionsView() {
  const [params, setParams] = useSearchParams();
  const said = useMemo(
    () => Object.fromEntries(NAMES.map((name) => [name, params.get(name) ?? ''])) as Record<Name, string>,
    [params],
  );
  const after = params.get('after');
  const set = (name: Name | 'after', value: string): void =>
    setParams((before) => {
      const next = new URLSearchParams(before);
      next.delete('after');
      if (value === '') next.delete(name);
      else next.set(name, value);
      return next;
    });
  const isNoSaga = said.saga !== '' && uuidIn(said.saga) === null;
  const { data, trouble, again } = useRead(
    OperatorActions,
    isNoSaga ? null : params.toString(),
    () => ({ filter: filterOf(said), first: PAGE, after }),
    after === null ? READ_MS : undefined,
  );
  return (
    <ListPage
      title="Record of operator actions"
      lead="Newest first. Nothing is ever taken off it."
      filters={<Filters said={said} change={set} />}
      name="Operator actions"
      what="The record"
      rows={12}
      page={data?.operatorActions ?? null}
      trouble={trouble}
      again={again}
      instead={
        isNoSaga ? (
          <Empty title={`No saga is called ${said.saga}`}>
            Give its correlation ID, or as much of its beginning as no other saga has.
          </Empty>
        ) : null
      }
      empty={
        <Empty title="Nothing on the record meets these filters">
          What operators do here, by the API or by commands appears within seconds.
        </Empty>
      }
      onOlder={(cursor) => set('after', cursor)}
    >
      {(entries) => <Entries entries={entries} />}
    </ListPage>
  );
}

/** The correlation ID in full of the one saga that is meant by its beginning, as lists print it. */
async function sagaCalled(text: string): Promise<string | null> {
  const id = uuidIn(text);
  if (id !== null || text === '') return id;
  const { data } = await read(Suggested, { text, first: 2 });
  const [hit, other] = (data?.search ?? []).filter(({ __typename }) => __typename === 'Saga');
  return hit?.__typename === 'Saga' && other === undefined ? hit.correlationId : null;
}

function filterOf({ kind, subject, saga, window }: Record<Name, string>): OperatorActionFilter {
  const past = WINDOWS[window]?.milliseconds;
  return {
    ...(kind !== '' && { kind: [kind as OperatorActionKind] }),
    ...(subject !== '' && { subject }),
    ...(uuidIn(saga) !== null && { correlationId: uuidIn(saga) }),
    ...(past !== undefined && { after: new Date(serverNow() - past).toISOString() }),
  };
}

function Filters({ said, change }: { said: Record<Name, string>; change: (name: Name, value: string) => void }) {
  return (
    <div className="record-filters" role="group" aria-label="Filters">
      <select
        className="input"
        aria-label="What was done"
        value={said.kind}
        onChange={(event) => change('kind', event.target.value)}
      >
        <option value="">Any action</option>
        {KINDS.map((kind) => (
          <option key={kind} value={kind}>
            {plainName(kind)}
          </option>
        ))}
      </select>
      <Text name="Who: a token’s subject" value={said.subject} onChoose={(value) => change('subject', value)} />
      <Text
        name="Saga: its correlation ID"
        value={said.saga}
        onChoose={async (value) => change('saga', (await sagaCalled(value)) ?? value)}
      />
      <select
        className="input"
        aria-label="When"
        value={said.window}
        onChange={(event) => change('window', event.target.value)}
      >
        <option value="">Any time</option>
        {Object.entries(WINDOWS).map(([value, { name }]) => (
          <option key={value} value={value}>
            {name}
          </option>
        ))}
      </select>
    </div>
  );
}

/** Taken on Enter, and when it is left. */
function Text({ name, value, onChoose }: { name: string; value: string; onChoose: (value: string) => unknown }) {
  return (
    <input
      key={value}
      className="input"
      aria-label={name}
      placeholder={name}
      defaultValue={value}
      autoComplete="off"
      spellCheck={false}
      onBlur={(event) => event.target.value.trim() !== value && onChoose(event.target.value.trim())}
      onKeyDown={(event) => event.key === 'Enter' && onChoose(event.currentTarget.value.trim())}
    />
  );
}

function Entries({ entries }: { entries: readonly OperatorActionEntry[] }) {
  return (
    <table className="table record">
      <thead>
        <tr>
          <th scope="col">When</th>
          <th scope="col">Who</th>
          <th scope="col">What</th>
          <th scope="col">To what</th>
          <th scope="col">Why</th>
          <th scope="col">Before, after</th>
          <th scope="col">Request</th>
        </tr>
      </thead>
      <tbody>
        {entries.map((entry) => (
          <Entry key={entry.id} entry={entry} />
        ))}
      </tbody>
    </table>
  );
}

function Entry({ entry }: { entry: OperatorActionEntry }) {
  const { at, by, kind, reason, saga, job, bulkAction, before, after, requestId } = entry;
  return (
    <tr>
      <td className="mono quiet">
        <Time at={at} />
      </td>
      <td className="said">{by.subject ?? by.role.toLowerCase()}</td>
      <td>
        <b>{plainName(kind)}</b>
      </td>
      <td>
        {saga !== null && (
          <Link href={`/saga/${saga.correlationId}`}>
            <ShortId id={saga.correlationId} />
          </Link>
        )}
        {job !== null && <span className="mono">{job}</span>}
        {bulkAction !== null && (
          <Link href="/saga/bulk" title={bulkAction.reason}>
            {saga === null ? 'bulk action' : ' by bulk action'}
          </Link>
        )}
      </td>
      <td className="said">{reason}</td>
      <td className="said quiet">
        {before !== null && <span>{before}</span>}
        {before !== null && after !== null && ' → '}
        {after !== null && <span>{after}</span>}
      </td>
      <td className="mono quiet">{requestId !== null && <span title={requestId}>{requestId.slice(-8)}</span>}</td>
    </tr>
  );
}
