import { useEffect, useState } from 'react';

const PLACES = [
  ['setup', 'Set up'],
  ['pay', 'Pay'],
  ['run', 'Line'],
  ['seats', 'Seats'],
  ['log', 'Log'],
] as const;

/** On a phone: to the parts of this long page, and which of them is in view. `canPay`: whether one of them is for paying. */
export function Jump({ canPay }: { canPay: boolean }) {
  const here = useInView(canPay);
  return (
    <nav className="jump" aria-label="On this page">
      {PLACES.filter(([id]) => canPay || id !== 'pay').map(([id, name]) => (
        <a
          key={id}
          href={`#${id}`}
          aria-current={here === id || undefined}
          onClick={(event) => {
            event.preventDefault();
            document.getElementById(id)?.scrollIntoView();
          }}
        >
          {name}
        </a>
      ))}
    </nav>
  );
}

/** The part that reaches the upper third of the window. */
function useInView(canPay: boolean): string {
  const [here, setHere] = useState<string>(PLACES[0][0]);
  useEffect(() => {
    const observer = new IntersectionObserver(
      (entries) => {
        const entering = entries.find((entry) => entry.isIntersecting);
        if (entering) setHere(entering.target.id);
      },
      { rootMargin: '-30% 0px -69% 0px' },
    );
    for (const [id] of PLACES) {
      const part = document.getElementById(id);
      if (part) observer.observe(part);
    }
    return () => observer.disconnect();
  }, [canPay]);
  return here;
}
