"""The GraphQL API: types, roots, loaders, errors. It knows no SQL, and the domain knows nothing of it.

Imports run one way::

    execution                         runs operations: documents (parsed, validated, kept), their cost, and variables
    root                              the schema object and its SDL
    queries | mutations | subscriptions
    payloads | inputs                 what is sent (built by variables), and what the caller can mend
    sagas                             sagas, events, reservations and bookings, which refer to one another
    steps | statistics | payments | loyalty
    flights                           flights, seats, fares, money
    pagination                        the one shape of lists: keyset pages, connections, edges
    context | loaders                 what one operation shares
    errors | ids | enums | scalars
"""
