import { createContext, type ReactNode, useContext } from 'react';
import { SagaDefinitions, type StepDefinition } from './definitions.graphql';
import type { SagaDefinitionsQuery } from './generated/graphql';
import { type Read, useRead } from './read';

const NOT_YET: Read<SagaDefinitionsQuery> = { data: null, trouble: null, isReading: true, again: () => {} };
const Definitions = createContext(NOT_YET);

/** Asks the server once, and again after each interruption, for the sagas that it can run. */
export function DefinitionsProvider({ children }: { children: ReactNode }) {
  return <Definitions value={useRead(SagaDefinitions, 'definitions', () => ({}))}>{children}</Definitions>;
}

/** The asking for the sagas that the server can run. */
export function useDefinitionsRead(): Read<SagaDefinitionsQuery> {
  return useContext(Definitions);
}

/** Every step of the server's sagas, once; none until they are known. */
export function useSteps(): StepDefinition[] {
  const definitions = useDefinitionsRead().data?.sagaDefinitions ?? [];
  const steps = new Map(definitions.flatMap((definition) => definition.steps).map((step) => [step.name, step]));
  return [...steps.values()];
}
