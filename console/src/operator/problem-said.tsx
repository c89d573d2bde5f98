import type { Problem } from '../api/scheduler';
import { Failure } from '../pieces/notices';
import { Refused } from './refused';

const CODES: Readonly<Record<number, string>> = { 0: 'UNREACHABLE', 401: 'UNAUTHENTICATED', 403: 'FORBIDDEN' };

/** A problem of /admin/scheduler in words; `meaning`: what it comes to for the person. */
export function ProblemSaid({ problem, meaning, onRetry }: { problem: Problem; meaning: string; onRetry: () => void }) {
  const trouble = { code: CODES[problem.status] ?? 'PROBLEM', message: problem.detail, logId: null };
  return (
    <Refused trouble={trouble}>
      <Failure trouble={trouble} meaning={meaning} onRetry={onRetry} />
    </Refused>
  );
}
