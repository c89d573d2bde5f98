import type { Saga, SagaEvent, SagaOnLine, SagaStep } from '../api/saga.graphql';
import { count, money, plural } from '../pieces/format';
import { plainName } from './words';

/** A step or compensation that an operator gave up. */
export interface GivenUp {
  readonly step: SagaStep;
  /** Its plain name. */
  readonly name: string;
  /** What the history says of it; null while that has not come. */
  readonly event: SagaEvent | null;
}

/** What an operator gave up in this saga. */
export function givenUpIn(saga: SagaOnLine, events: readonly SagaEvent[] = []): GivenUp[] {
  return saga.steps.flatMap((step): GivenUp[] => {
    const event = events.find((each) => each.step === step.name && isGivingUp(each)) ?? null;
    if (step.undo?.status === 'SKIPPED') return [{ step, name: plainName(step.undo.name), event }];
    return isGivenUp(saga, step) ? [{ step, name: plainName(step.name), event }] : [];
  });
}

/** A step may also be skipped because it was not needed; that is known at its first attempt, and ends no saga early. */
export function isGivenUp(saga: SagaOnLine, { status, attempt, failure }: SagaStep): boolean {
  if (status !== 'SKIPPED') return false;
  const isEarly = saga.status === 'ABANDONED' && saga.steps.every(({ undo }) => undo?.status !== 'SKIPPED');
  return (
    failure !== null || attempt > 1 || (isEarly && saga.steps.filter(({ status }) => status === 'SKIPPED').length === 1)
  );
}

function isGivingUp({ type, actor }: SagaEvent): boolean {
  return type === 'COMPENSATION_SKIPPED' || (type === 'STEP_SKIPPED' && actor !== null);
}

/** Loudly, what a saga left behind: "116.00 USD was NOT refunded." */
export function leftBehind({ atStake, payment }: Pick<Saga, 'atStake' | 'payment'>): string[] {
  if (atStake === null) return [];
  const { money: sum, points, seats } = atStake;
  return [
    ...(sum === null ? [] : [`${money(sum)} was NOT ${payment?.status === 'AUTHORIZED' ? 'released' : 'refunded'}.`]),
    ...(points > 0 ? [`${plural(points, 'point was', 'points were')} NOT given back.`] : []),
    ...(seats > 0 ? [`${plural(seats, 'seat was', 'seats were')} NOT freed.`] : []),
  ];
}

/** What a skip of this operation would leave behind, by the API's name of the operation. */
export function wouldLeave(operation: string, { atStake, payment }: Pick<Saga, 'atStake' | 'payment'>): string | null {
  if (operation.endsWith('_PAYMENT') && atStake?.money) {
    return `${money(atStake.money)} will NOT be ${payment?.status === 'AUTHORIZED' ? 'released' : 'refunded'}.`;
  }
  if (/MILES|POINTS|LOYALTY/.test(operation) && atStake && atStake.points > 0) {
    return `${count(atStake.points)} points will NOT be given back.`;
  }
  if (operation === 'CANCEL_SEAT' && atStake && atStake.seats > 0) {
    return `${plural(atStake.seats, 'seat')} will NOT be freed.`;
  }
  return null;
}
