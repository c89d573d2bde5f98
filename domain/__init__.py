"""What seatsaga does, without a word about how it is asked: no web framework, no GraphQL, no scheduler.

Imports run one way, top to bottom; a line's members do not know one another::

    bookings                                     the steps, the saga definitions, expiry
    flights | seats | payments | loyalty | saga  one feature each; saga knows no feature
    events                                       the saga log and its live feeds
    storage                                      engines, transactions, bulk statements
    ids | money | clock | telemetry | outcome    values
    errors
"""
