import { type ReactNode, useId } from 'react';

/** A titled section on its own ground; `end` stands at the right of its title. */
export function Panel({
  title,
  end,
  className,
  id,
  children,
}: {
  title: string;
  end?: ReactNode;
  className?: string;
  id?: string;
  children: ReactNode;
}) {
  const heading = useId();
  return (
    <section className={className === undefined ? 'panel' : `panel ${className}`} id={id} aria-labelledby={heading}>
      <header>
        <h2 id={heading}>{title}</h2>
        {end !== undefined && <span className="end">{end}</span>}
      </header>
      {children}
    </section>
  );
}
