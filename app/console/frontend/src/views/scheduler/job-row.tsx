import { useEffect, useRef, useState } from 'react';
import { useIsLive } from '../../api/connection';
import { pauseJob, resumeJob, runJob, type Answer, type Job, type JobRun } from '../../api/scheduler';
import { SaidBack, type Said } from '../../operator/said-back';
import { duration } from '../../pieces/format';
import { Icon } from '../../pieces/icon';
import { IntervalForm } from './interval-form';
import { LastRun } from './last-run';
import { affectedOf, EXPIRY_JOB, interval, nameOf, outcomeOf } from './names';
import { NextRun } from './next-run';
import { RunBars } from './run-bars';

/** A job: when it runs next, what it did, and what an operator can tell it. */
export function JobRow({ job, runs, isChosen, onChoose, onChanged }: {
  job: Job;
  runs: readonly JobRun[];
  isChosen: boolean;
  onChoose: () => void;
  onChanged: () => void;
}) {
  const [said, setSaid] = useState<Said | null>(null);
  const [isBusy, setIsBusy] = useState(false);
  const [isEditing, setIsEditing] = useState(false);
  const opener = useRef<HTMLButtonElement>(null);
  const isLive = useIsLive();
  const tell = async <Value,>(word: Promise<Answer<Value>>, saying: (value: Value) => string): Promise<void> => {
    setIsBusy(true);
    const answer = await word;
    setIsBusy(false);
    setSaid(
      answer.problem ? { tone: 'error', text: answer.problem.detail } : { tone: 'ok', text: saying(answer.value) },
    );
    onChanged();
  };
  const close = (): void => setIsEditing(false);
  const wasEditing = useRef(false);
  useEffect(() => {
    // The opener is there again: focus goes back to it.
    if (wasEditing.current && !isEditing) opener.current?.focus();
    wasEditing.current = isEditing;
  }, [isEditing]);
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
        {isEditing ? (
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
              disabled={isOff}
              onClick={() =>
                void (job.paused
                  ? tell(resumeJob(job.id), () => 'Resumed.')
                  : tell(pauseJob(job.id), () => 'Paused on every replica, until it is resumed.'))
              }
            >
              <Icon name={job.paused ? 'play' : 'pause'} />
              {job.paused ? 'Resume' : 'Pause'}
            </button>
            <button type="button" className="btn plain" ref={opener} disabled={!isLive} onClick={() => setIsEditing(true)}>
              Interval
            </button>
          </div>
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
