import type { SagaEvent } from '../api/saga.graphql';
import { sentence } from '../pieces/format';
import { eventWord, plainName } from './words';

/** The plain name of an event's step or compensation; null if it is about the saga. */
export function subjectOf({ step, compensation }: SagaEvent): string | null {
  if (compensation !== null) return plainName(compensation);
  return step === null ? null : plainName(step);
}

/** An event in one line: its subject, then its outcome. */
export function textOf(event: SagaEvent): string {
  const subject = subjectOf(event);
  if (subject === null) return event.message;
  const attempt = event.attempt !== null && event.attempt > 1 ? `, try ${event.attempt}` : '';
  switch (event.type) {
    case 'STEP_STARTED':
    case 'COMPENSATION_STARTED':
      return `${subject}${attempt}`;
    case 'SAGA_STUCK':
      return `${subject} failed ${event.attempt ?? 'several'} times; an operator may retry or skip`;
    default:
      return `${subject}${attempt}: ${event.message}`;
  }
}

/** For readers: "Step failed. Process payment: ..." */
export function spokenOf(event: SagaEvent): string {
  return `${eventWord(event.type)}. ${sentence(textOf(event))}`;
}

/** Whether an event holds every word of a filter, in its plain or its API names. */
export function holds(event: SagaEvent, filter: string): boolean {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const text = [event.type, eventWord(event.type), event.step, event.compensation, event.failure?.code, textOf(event)]
    .join(' ')
    .toLowerCase();
  return words.every((word) => text.includes(word));
}
