import { at } from '../base-path';
import { fetchAsCaller } from './client';

/** /admin/scheduler, as its JSON is. Instants are RFC 3339. */
export interface SchedulerState {
  readonly running: boolean;
  readonly jobs: readonly Job[];
}

export interface Job {
  readonly id: string;
  readonly description: string;
  readonly intervalSeconds: number;
  readonly paused: boolean;
  readonly pausedAt: string | null;
  readonly pausedBy: string | null;
  readonly running: boolean;
  readonly nextRunAt: string | null;
  readonly lastRun: JobRun | null;
  readonly runs: number;
  readonly failures: number;
}

export interface JobRun {
  readonly startedAt: string;
  readonly durationMs: number;
  readonly outcome: string;
  readonly affected: number | null;
  readonly error: string | null;
  readonly replica: string;
}

/** Why a request was not served (RFC 9457). Status 0: the server was not reached. */
export interface Problem {
  readonly status: number;
  readonly title: string;
  readonly detail: string;
}

export type Answer<Value> = { readonly value: Value; readonly problem?: never } | { readonly problem: Problem };

const PATH = at('/admin/scheduler');

export const readScheduler = (): Promise<Answer<SchedulerState>> => ask('GET', '');
export const readRuns = (job: string, limit = 20): Promise<Answer<readonly JobRun[]>> =>
  ask('GET', `/jobs/${encodeURIComponent(job)}/runs?limit=${limit}`);
export const runJob = (job: string): Promise<Answer<JobRun>> => ask('POST', `/jobs/${encodeURIComponent(job)}/run`);
export const pauseJob = (job: string, reason?: string): Promise<Answer<Job>> =>
  ask('POST', `/jobs/${encodeURIComponent(job)}/pause`, reason === undefined ? undefined : { reason });
export const resumeJob = (job: string): Promise<Answer<Job>> => ask('POST', `/jobs/${encodeURIComponent(job)}/resume`);
export const changeInterval = (job: string, intervalSeconds: number): Promise<Answer<Job>> =>
  ask('PATCH', `/jobs/${encodeURIComponent(job)}`, { intervalSeconds });

async function ask<Value>(method: string, path: string, body?: object): Promise<Answer<Value>> {
  try {
    const response = await fetchAsCaller(PATH + path, {
      method,
      ...(body && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
    });
    const said: unknown = await response.json();
    return response.ok ? { value: said as Value } : { problem: said as Problem };
  } catch {
    return { problem: { status: 0, title: 'Unreachable', detail: 'The server could not be reached.' } };
  }
}
