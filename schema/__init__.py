"""The GraphQL API: types, roots, loaders, errors. It contains no SQL, and the domain does not import it.

Imports run one way::

    execution                         runs operations: documents (parsed, validated, cached), their cost, and variables
    root                              the schema object and its SDL
    queries | mutations | subscriptions
    payloads | inputs                 answers of mutations with their errors, and inputs (built by variables)
    sagas                             sagas, events, reservations and bookings, which refer to one another
    steps | statistics | payments | loyalty
    flights                           flights, seats, fares, money
    pagination                        the one shape of lists: keyset pages, connections, edges
    context | loaders                 state of one operation
    errors | ids | enums | scalars
"""
