import { useId, useLayoutEffect, useRef, useState } from 'react';
import { Icon } from '../../pieces/icon';

/**
 * The bank's page, on which the card's holder answers. A page of our own origin (the sandbox's) is shown in a frame that
 * runs no script; any other one opens in a window of its own. `onAnswered`: an answer may have been given.
 */
export function BankDialog({
  page,
  onAnswered,
  onClose,
}: {
  page: BankPage;
  onAnswered: () => void;
  onClose: () => void;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const hasAsked = useRef(false);
  const [isAsked, setIsAsked] = useState(false);
  const heading = useId();
  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    // Closed before it is removed, so that the focus returns to where it was.
    return () => element?.close();
  }, []);
  return (
    <dialog className="bank" ref={dialog} aria-labelledby={heading} onCancel={onClose}>
      <header>
        <h2 id={heading}>Your bank asks you to confirm</h2>
        <button type="button" className="icon-btn" aria-label="Close, and answer later" onClick={onClose}>
          <Icon name="close" />
        </button>
      </header>
      {page.isOurs && (
        <iframe
          title="The page of the bank"
          src={page.href}
          sandbox="allow-forms allow-same-origin"
          onLoad={() => {
            // First the question, then what came of it.
            if (hasAsked.current) onAnswered();
            hasAsked.current = true;
          }}
        />
      )}
      <footer>
        <a className="btn" href={page.href} target="_blank" rel="noopener noreferrer">
          Open it in a window
        </a>
        <button
          type="button"
          className="btn plain"
          onClick={() => {
            setIsAsked(true);
            onAnswered();
          }}
        >
          I have answered
        </button>
        <p role="status">{isAsked && 'Asked the bank. Once it has the answer, this page goes on by itself.'}</p>
      </footer>
    </dialog>
  );
}

export interface BankPage {
  readonly href: string;
  readonly isOurs: boolean;
}

/** The page at an address of the API's; null where that is no page of the web. */
export function bankPageAt(url: string): BankPage | null {
  if (!URL.canParse(url, location.href)) return null;
  const { href, origin, protocol } = new URL(url, location.href);
  return /^https?:$/.test(protocol) ? { href, isOurs: origin === location.origin } : null;
}
