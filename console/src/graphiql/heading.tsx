import { useGraphiQL } from '@graphiql/react';
import { useEffect } from 'react';

/** The page's heading, with the way to the console; the document is called by the operation that would be run. */
export function Heading() {
  const operation = useGraphiQL((state) => state.operationName);
  useEffect(() => {
    document.title = [operation, 'GraphiQL', 'seatsaga'].filter(Boolean).join(' · ');
  }, [operation]);
  return (
    <h1>
      <a href="/saga/test">seatsaga</a> GraphiQL
    </h1>
  );
}
