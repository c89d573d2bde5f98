import { CARD_CHOICES, isNamed, TOKEN_CHARACTERS_MAX } from './cards';

/** One of the sandbox's cards by name, or any card by its token. */
export function CardFields({
  label,
  token,
  isDisabled = false,
  onChange,
}: {
  label: string;
  token: string;
  isDisabled?: boolean;
  onChange: (token: string) => void;
}) {
  return (
    <div className="g2">
      <label className="field">
        <span>{label}</span>
        <select
          className="input"
          disabled={isDisabled}
          value={isNamed(token) ? token : ''}
          onChange={({ target }) => onChange(target.value)}
        >
          {CARD_CHOICES.map(([each, word]) => (
            <option key={each} value={each}>
              {word}
            </option>
          ))}
        </select>
      </label>
      <label className="field">
        <span>Its token</span>
        <input
          className="input mono"
          autoComplete="off"
          spellCheck={false}
          maxLength={TOKEN_CHARACTERS_MAX}
          disabled={isDisabled}
          value={token}
          onChange={({ target }) => onChange(target.value.trim())}
        />
      </label>
    </div>
  );
}
