import './operator.css';

/** What came of a person's word, for the place beside its button. */
export interface Said {
  readonly tone: 'ok' | 'error';
  readonly text: string;
}

/** Always there, so that readers are told when it is filled. */
export function SaidBack({ said }: { said: Said | null }) {
  return (
    <p className="said-back" data-tone={said?.tone} role="status">
      {said?.text}
    </p>
  );
}
