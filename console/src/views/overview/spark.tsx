const WIDTH = 132;
const HEIGHT = 34;
const EDGE = 4;
/** Fewer make no way. */
const POINTS_MIN = 3;

/** A figure's way through the window; stretches without one are passed over. The chart beneath has the numbers. */
export function Spark({ values }: { values: readonly (number | null)[] }) {
  const known = values.flatMap((value, index) => (value === null ? [] : [{ value, index }]));
  if (known.length < POINTS_MIN) return null;
  const lowest = Math.min(...known.map(({ value }) => value));
  const range = Math.max(...known.map(({ value }) => value)) - lowest || 1;
  const points = known.map(({ value, index }) => ({
    x: EDGE + (index / (values.length - 1)) * (WIDTH - 2 * EDGE),
    y: HEIGHT - EDGE - ((value - lowest) / range) * (HEIGHT - 2 * EDGE),
  }));
  const last = points.at(-1);
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={WIDTH} height={HEIGHT} className="spark" aria-hidden="true">
      <path d={`M${points.map(({ x, y }) => `${x.toFixed(1)} ${y.toFixed(1)}`).join('L')}`} />
      {last && <circle cx={last.x} cy={last.y} r="3" />}
    </svg>
  );
}
