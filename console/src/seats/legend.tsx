import './aircraft.css';

const LOOKS = [
  ['free', 'Free'],
  ['held', 'Held'],
  ['booked', 'Booked'],
  ['mine', 'Yours'],
  ['releasing', 'Being released'],
] as const;

/** What the looks of a seat mean. */
export function Legend() {
  return (
    <div className="legend tall">
      {LOOKS.map(([look, word]) => (
        <span key={look}>
          <i className="seat" data-seat={look} aria-hidden="true">
            {(look === 'mine' || look === 'releasing') && 1}
          </i>
          {word}
        </span>
      ))}
      <span>
        <i className="seat" data-seat="free" data-out aria-hidden="true" />
        Other cabin
      </span>
    </div>
  );
}
