"""The business logic of seatsaga. It does not know its callers: no web framework, no GraphQL, no scheduler.

Imports go from top to bottom only; packages on one line do not import one another::

    bookings                                     the steps, the saga definitions, expiry
    flights | seats | payments | loyalty | saga  one feature each; saga knows no feature
    events                                       the saga log and its live feeds
    storage                                      engines, transactions, bulk statements
    ids | money | clock | telemetry | outcome    values
    errors
"""
