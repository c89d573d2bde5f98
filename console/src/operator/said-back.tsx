import './operator.css';

/** The result of a person's action, shown beside its button. */
export interface Said {
  readonly tone: 'ok' | 'error';
  readonly text: string;
}

/** Always in the document, so that screen readers announce when it is filled. */
export function SaidBack({ said }: { said: Said | null }) {
  return (
    <p className="said-back" data-tone={said?.tone} role="status">
      {said?.text}
    </p>
  );
}
