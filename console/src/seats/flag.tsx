import { useNow } from '../api/clock';
import { left } from '../pieces/format';

const FLAGGED_MS_MAX = 120_000;

/** Flies over a hold in its last two minutes, with the time that is left. */
export function Flag({ until }: { until: string }) {
  const milliseconds = Date.parse(until) - useNow();
  if (milliseconds <= 0 || milliseconds > FLAGGED_MS_MAX) return null;
  return (
    <span className="flag" aria-hidden="true">
      {left(milliseconds)}
    </span>
  );
}
