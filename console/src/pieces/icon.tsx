/** Every icon, once in the document; `Icon` refers to them. A state is told by its outline alone. */
const SHAPES = {
  pending: <circle cx="8" cy="8" r="5.4" />,
  executing: (
    <>
      <circle cx="8" cy="8" r="6" opacity=".28" />
      <path d="M8 2a6 6 0 0 1 6 6" />
      <circle cx="8" cy="8" r="2.2" fill="currentColor" stroke="none" />
    </>
  ),
  retrying: (
    <>
      <path d="M13.3 8.6A5.4 5.4 0 1 1 12 4.4" />
      <path d="M12.6 1.6v3.2H9.4" />
      <path d="M8 5.4V8l1.6 1" />
    </>
  ),
  completed: (
    <>
      <circle cx="8" cy="8" r="7" fill="currentColor" stroke="none" />
      <path d="m4.9 8.2 2.1 2.1 4.1-4.3" stroke="var(--cut)" />
    </>
  ),
  failed: (
    <>
      <path d="M5.1 1h5.8L15 5.1v5.8L10.9 15H5.1L1 10.9V5.1z" fill="currentColor" stroke="none" />
      <path d="m5.6 5.6 4.8 4.8m0-4.8-4.8 4.8" stroke="var(--cut)" />
    </>
  ),
  skipped: (
    <>
      <circle cx="8" cy="8" r="6" strokeDasharray="2.3 2.4" />
      <path d="M5.2 8h5.6" />
    </>
  ),
  compensating: (
    <>
      <circle cx="8" cy="8" r="6.3" strokeDasharray="3 2" />
      <path d="M11 8H5.2m2.4-2.4L5.2 8l2.4 2.4" />
    </>
  ),
  compensated: (
    <>
      <path d="M6 2.6 2.8 5.8 6 9" />
      <path d="M2.8 5.8h6.7a3.6 3.6 0 0 1 0 7.2H5.6" />
    </>
  ),
  stuck: (
    <>
      <path d="M8 1.6 15 14H1z" fill="currentColor" stroke="var(--rim, currentColor)" strokeWidth="1" />
      <path d="M8 6v3.4M8 11.8v.01" stroke="var(--cut)" strokeWidth="1.8" />
    </>
  ),
  held: (
    <>
      <circle cx="8" cy="8" r="6.2" />
      <path d="M8 4.4V8l2.4 1.6" />
    </>
  ),
  copy: (
    <>
      <rect x="5.5" y="5.5" width="8" height="8" rx="1.5" />
      <path d="M10.5 5.5V4A1.5 1.5 0 0 0 9 2.5H4A1.5 1.5 0 0 0 2.5 4v5A1.5 1.5 0 0 0 4 10.5h1.5" />
    </>
  ),
  theme: (
    <>
      <circle cx="8" cy="8" r="6" />
      <path d="M8 2a6 6 0 0 1 0 12z" fill="currentColor" />
    </>
  ),
  search: (
    <>
      <circle cx="7" cy="7" r="4.5" />
      <path d="m10.5 10.5 3.2 3.2" />
    </>
  ),
  play: <path d="M4.5 2.8v10.4L13 8z" fill="currentColor" />,
  pause: <path d="M5 3v10M11 3v10" strokeWidth="2.4" />,
  plug: (
    <path d="M2 14l2.6-2.6M14 2l-2.6 2.6M7.4 11.9 4.1 8.6l1.7-1.7 3.3 3.3zM8.6 4.1l3.3 3.3-1.7 1.7M6.9 8.1 8.2 6.8" />
  ),
  plus: <path d="M8 3.5v9M3.5 8h9" />,
  close: <path d="m4 4 8 8m0-8-8 8" />,
  arrow: <path d="M2.5 8h11M9.5 4l4 4-4 4" />,
  chevron: <path d="m6 3.5 4.5 4.5L6 12.5" />,
  gauge: <path d="M2.2 12.5a6.5 6.5 0 1 1 11.6 0M8 9.5l2.8-3.6" />,
  list: <path d="M2.5 4h1m2.5 0h7.5M2.5 8h1m2.5 0h7.5m-11 4h1m2.5 0h7.5" />,
  line: (
    <>
      <path d="M1.5 5h9a3 3 0 0 1 0 6h-9" />
      <circle cx="4" cy="5" r="1.6" fill="var(--surface)" />
      <circle cx="4" cy="11" r="1.6" fill="var(--surface)" />
    </>
  ),
  clock: (
    <>
      <circle cx="8" cy="8" r="6" />
      <path d="M8 4.6V8l2.2 1.5" />
    </>
  ),
  nothing: (
    <>
      <path d="M2 6h28a6 6 0 0 1 0 12H2" strokeDasharray="2 4" />
      <circle cx="12" cy="6" r="3" fill="var(--surface)" />
      <circle cx="12" cy="18" r="3" fill="var(--surface)" />
    </>
  ),
};

export type IconName = keyof typeof SHAPES;

/** Put once into the page, before any icon. */
export function Sprite() {
  return (
    <svg className="sprite" aria-hidden="true">
      {Object.entries(SHAPES).map(([name, shape]) => (
        <symbol key={name} id={`icon-${name}`} viewBox={name === 'nothing' ? '0 0 48 24' : '0 0 16 16'}>
          {shape}
        </symbol>
      ))}
    </svg>
  );
}

/** Hidden from readers: a word always stands beside it. */
export function Icon({ name, spins = false, state }: { name: IconName; spins?: boolean; state?: string }) {
  return (
    <svg className={spins ? 'i spin' : 'i'} data-s={state} aria-hidden="true">
      <use href={`#icon-${name}`} />
    </svg>
  );
}
