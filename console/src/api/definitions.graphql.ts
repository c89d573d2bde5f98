import { graphql } from './generated';
import type { SagaDefinitionsQuery } from './generated/graphql';

/** The sagas that the server can run: what their steps do, what undoes them, and the scenarios to try them by. */
export const SagaDefinitions = graphql(`
  query SagaDefinitions {
    sagaDefinitions {
      name
      version
      isCurrent
      steps {
        name
        description
        compensation
        isRemote
      }
      scenarios {
        name
        payLater
        cards
        holderApproves
        failAt
        status
        failedStep
        failureCode
        completed
        compensated
        reservations
        payment
        isBooked
        redeemsPoints
        awardsMiles
      }
    }
  }
`);

export type SagaDefinition = SagaDefinitionsQuery['sagaDefinitions'][number];
export type StepDefinition = SagaDefinition['steps'][number];
export type SagaScenario = SagaDefinition['scenarios'][number];
