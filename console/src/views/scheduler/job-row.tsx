import { useEffect, useRef, useState } from 'react';
import { useIsLive } from '../../api/connection';
import { type Answer, type Job, type JobRun, pauseJob, resumeJob, runJob } from '../../api/scheduler';
import { useMay } from '../../api/viewer';
import { type Said, SaidBack } from '../../operator/said-back';
import { duration } from '../../pieces/format';
import { Icon } from '../../pieces/icon';
import { IntervalForm } from './interval-form';
import { LastRun } from './last-run';
import { affectedOf, EXPIRY_JOB, interval, nameOf, outcomeOf } from './names';
import { NextRun } from './next-run';
import { PauseForm } from './pause-form';
import { RunBars } from './run-bars';

const PAUSED = 'Paused on every replica, until it is resumed.';

/** A job: when it runs next, what it did, and what an operator can tell it. */
export function JobRow({
  job,
  runs,
  isChosen,
  onChoose,
  onChanged,
}: {
  job: Job;
  runs: readonly JobRun[];
  isChosen: boolean;
  onChoose: () => void;
  onChanged: () => void;
}) {
  const [said, setSaid] = useState<Said | null>(null);
  const [isBusy, setIsBusy] = useState(false);
  const [form, setForm] = useState<'interval' | 'pause' | null>(null);
  const openers = { interval: useRef<HTMLButtonElement>(null), pause: useRef<HTMLButtonElement>(null) };
  const isLive = useIsLive();
  const mayWrite = useMay('jobs:write');
  const tell = async <Value,>(word: Promise<Answer<Value>>, saying: (value: Value) => string): Promise<void> => {
    setIsBusy(true);
    const answer = await word;
    setIsBusy(false);
    setSaid(
      answer.problem ? { tone: 'error', text: answer.problem.detail } : { tone: 'ok', text: saying(answer.value) },
    );
    onChanged();
  };
  const close = (): void => setForm(null);
  const before = useRef<typeof form>(null);
  useEffect(() => {
    // The opener is there again: focus goes back to it.
    if (before.current !== null && form === null) openers[before.current].current?.focus();
    before.current = form;
  }, [form]);
  const pause = (): void => {
    if (job.id === EXPIRY_JOB) setForm('pause');
    else void tell(pauseJob(job.id), () => PAUSED);
  };
  const isOff = isBusy || !isLive;
  return (
    <article className={classOf(job)} aria-label={nameOf(job)} aria-current={isChosen || undefined}>
      <div>
        <h2>
          <button type="button" className="choose" aria-pressed={isChosen} title="Show its runs" onClick={onChoose}>
            {nameOf(job)}
          </button>
        </h2>
        <p>{job.description}</p>
        <span className="api">{job.id}</span>
      </div>
      <NextRun job={job} />
      <LastRun job={job} />
      <div className="h">
        <RunBars runs={runs} />
      </div>
      <div className="told">
        {form === 'pause' ? (
          <PauseForm
            job={job}
            onClose={close}
            onPaused={() => {
              setSaid({ tone: 'ok', text: PAUSED });
              close();
              onChanged();
            }}
          />
        ) : form === 'interval' ? (
          <IntervalForm
            job={job}
            onClose={close}
            onSaved={(changed) => {
              setSaid({ tone: 'ok', text: `Runs every ${interval(changed.intervalSeconds)} from now on.` });
              close();
              onChanged();
            }}
          />
        ) : (
          mayWrite && (
            <div className="acts">
              <button
                type="button"
                className="btn"
                disabled={isOff}
                onClick={() => void tell(runJob(job.id), (run) => ran(job.id, run))}
              >
                <Icon name="play" />
                Run now
              </button>
              <button
                type="button"
                className="btn pauses"
                ref={openers.pause}
                disabled={isOff}
                onClick={() => (job.paused ? void tell(resumeJob(job.id), () => 'Resumed.') : pause())}
              >
                <Icon name={job.paused ? 'play' : 'pause'} />
                {job.paused ? 'Resume' : 'Pause'}
              </button>
              <button
                type="button"
                className="btn plain"
                ref={openers.interval}
                disabled={!isLive}
                onClick={() => setForm('interval')}
              >
                Interval
              </button>
            </div>
          )
        )}
        <SaidBack said={said} />
      </div>
    </article>
  );
}

/** While lapsed holds are not freed, that cannot be overlooked. */
function classOf({ id, paused }: Job): string {
  if (!paused) return 'job';
  return id === EXPIRY_JOB ? 'job paused hazard' : 'job paused';
}

function ran(job: string, run: JobRun): string {
  if (run.outcome !== 'OK') return `${outcomeOf(run).word}: ${run.error ?? 'no reason was given'}`;
  return `Ran: ${affectedOf(job, run)}, took ${duration(run.durationMs)}.`;
}
