import { graphql } from '../api/generated';

export const SagaRetry = graphql(`
  mutation SagaRetry($correlationId: UUID!, $reason: String) {
    retrySaga(input: { correlationId: $correlationId, reason: $reason }) {
      saga {
        ...SagaLine
      }
      errors {
        ...Refusal
      }
    }
  }
`);

export const SagaSkip = graphql(`
  mutation SagaSkip($correlationId: UUID!, $step: StepName!, $reason: String!) {
    skipStep(input: { correlationId: $correlationId, step: $step, reason: $reason }) {
      saga {
        ...SagaLine
      }
      errors {
        ...Refusal
      }
    }
  }
`);

export const SagaCancel = graphql(`
  mutation SagaCancel($correlationId: UUID!) {
    cancelSaga(input: { correlationId: $correlationId }) {
      saga {
        ...SagaLine
      }
      errors {
        ...Refusal
      }
    }
  }
`);

export const SagaBookingCancel = graphql(`
  mutation SagaBookingCancel($reference: String!) {
    cancelBooking(input: { reference: $reference }) {
      saga {
        ...SagaLine
      }
      errors {
        ...Refusal
      }
    }
  }
`);
