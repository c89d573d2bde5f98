/** The sandbox's test cards: a name for the address, a word for a person, and the token. */
const CARDS = [
  ['works', 'Works', 'pm_card_visa'],
  ['declined', 'Is declined', 'pm_card_chargeDeclined'],
  ['poor', 'Has insufficient funds', 'pm_card_chargeDeclinedInsufficientFunds'],
  ['asks', 'Asks its holder', 'pm_card_threeDSecure2Required'],
  ['refund-pending', 'Refunds later', 'pm_card_pendingRefund'],
  ['refund-fails', 'Refund fails once', 'pm_card_refundFail'],
  ['asks-declined', 'Asks, then is declined', 'pm_card_authenticationRequiredChargeDeclinedInsufficientFunds'],
] as const;

/** The card that is chosen at first. */
export const CARD_DEFAULT: string = 'pm_card_visa';
/** As the API has it. */
export const TOKEN_CHARACTERS_MAX = 255;

/** The token and the word of each card, and last the word for any other token. */
export const CARD_CHOICES: readonly (readonly [string, string])[] = [
  ...CARDS.map(([, word, token]) => [token, word] as const),
  ['', 'Another token'],
];

/** Whether it is one of the sandbox's cards. */
export function isNamed(token: string): boolean {
  return nameOfToken(token) !== null;
}

export function nameOfToken(token: string): string | null {
  return CARDS.find(([, , each]) => each === token)?.[0] ?? null;
}

export function tokenNamed(name: string | null): string | null {
  return CARDS.find(([each]) => each === name)?.[2] ?? null;
}

/** Whether the bank asks the holder of this card. */
export function asksItsHolder(token: string): boolean {
  return nameOfToken(token)?.startsWith('asks') ?? false;
}
