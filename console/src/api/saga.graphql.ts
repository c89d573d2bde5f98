import { graphql } from './generated';
import type {
  SagaChangesSubscription,
  SagaEventViewFragment,
  SagaLineFragment,
  SagaViewFragment,
} from './generated/graphql';

/** What the line, its small sizes, the badge and the sentence are drawn from. */
export const SagaLine = graphql(`
  fragment SagaLine on Saga {
    id
    correlationId
    definition
    status
    sequence
    startedAt
    finishedAt
    stuckSince
    failure {
      code
      message
      step
    }
    awaiting {
      __typename
      until
      lastFailure {
        code
        message
      }
    }
    steps {
      id
      index
      name
      status
      attempt
      nextAttemptAt
      startedAt
      finishedAt
      summary
      compensation
      failure {
        code
        message
      }
      undo {
        name
        status
        attempt
        nextAttemptAt
        startedAt
        finishedAt
        summary
        failure {
          code
          message
        }
      }
    }
    booking {
      id
      reference
      status
    }
  }
`);

/** One saga with all that belongs to it but its events. */
export const SagaView = graphql(`
  fragment SagaView on Saga {
    ...SagaLine
    definitionVersion
    memberNumber
    atStake {
      ...Stake
    }
    settlement {
      at
      how
      by {
        role
        subject
      }
    }
    awaiting {
      ... on PaymentAwaited {
        amount {
          ...Sum
        }
      }
      ... on CardConfirmationAwaited {
        clientSecret
        url
      }
    }
    queue {
      pending
      executing
      completed
      failed
      compensations
      compensating
      compensated
    }
    flights {
      ...FlightView
    }
    passengers {
      givenName
      familyName
    }
    reservations {
      id
      status
      cabinClass
      heldAt
      expiresAt
      flight {
        id
        number
      }
      seat {
        id
        number
      }
      passenger {
        givenName
        familyName
      }
    }
    payment {
      id
      status
      method
      providerReference
      amount {
        ...Sum
      }
    }
    booking {
      id
      reference
      status
      milesAwarded
      pointsRedeemed
      createdAt
      total {
        ...Sum
      }
      saga {
        id
        correlationId
      }
      cancellation {
        id
        correlationId
        status
      }
    }
  }
`);

export const FlightView = graphql(`
  fragment FlightView on Flight {
    id
    number
    departsAt
    arrivesAt
    durationMinutes
    origin {
      code
      city
      timeZone
    }
    destination {
      code
      city
      timeZone
    }
  }
`);

export const SagaEventView = graphql(`
  fragment SagaEventView on SagaEvent {
    id
    correlationId
    sequence
    type
    step
    compensation
    attempt
    message
    at
    failure {
      code
      message
      step
    }
    actor {
      role
      subject
    }
    facts {
      __typename
      ... on WaitFacts {
        until
      }
    }
  }
`);

export const SagaNow = graphql(`
  subscription SagaNow($correlationId: UUID!) {
    saga(correlationId: $correlationId) {
      ...SagaView
    }
  }
`);

export const SagaEvents = graphql(`
  subscription SagaEvents($correlationId: UUID!, $after: Int!) {
    sagaEvents(correlationId: $correlationId, after: $after) {
      ...SagaEventView
    }
  }
`);

/** Which sagas change: no more of each than a list needs to know whether it is a new one of its own. */
export const SagaChanges = graphql(`
  subscription SagaChanges($filter: SagaFilter) {
    sagaChanges(filter: $filter) {
      matches
      saga {
        correlationId
        startedAt
        stuckSince
      }
    }
  }
`);

/** These sagas as they stand, and again whenever they change. */
export const SagaRowChanges = graphql(`
  subscription SagaRowChanges($of: [UUID!]!) {
    sagaChanges(of: $of) {
      saga {
        ...SagaLine
      }
    }
  }
`);

export type { FlightViewFragment as Flight } from './generated/graphql';
export type SagaChange = SagaChangesSubscription['sagaChanges'][number];
export type SagaOnLine = SagaLineFragment;
export type Saga = SagaViewFragment;
export type SagaStep = SagaLineFragment['steps'][number];
export type SagaEvent = SagaEventViewFragment;
