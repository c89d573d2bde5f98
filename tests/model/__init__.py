"""The saga protocol as a small model, and a walk through everything that can happen to it.

One saga (RESERVE, AUTHORIZE, CONFIRM), one seat, one payment reference; two replicas, a sweep,
an operator, another booking that wants the seat, and a provider that loses answers, acts late
and keeps its 500s. Where the customer pays later, the saga waits for cards: so many may be said.
Where a gate stands before the provider, the saga may have to stand in line, and its place may be lost.
Where the provider may go away, requests are not sent as often as may be, and in the end for good.
The walk takes every move in every order, until nothing new is met, and asks of each whether it
breaks a promise; at the end it asks of each state whether the saga can still end by itself. What
is bounded is how often something goes wrong in one run, not how long it is::

    troubles   interruptions   cards      states       moves   depth
           1               2       0      76,310     286,106      31   in every test run, with those below
           2               1       0      33,803     116,562      30
           2               1       2      39,780     136,057      32
           1               1       0      27,672      82,441      29   with a gate, and a provider that goes away
           2               0       1       7,285      17,434      29
           2               1       0     124,962     365,629      35   the same, by hand, as are more
           1               2       2      84,608     315,571      33
           3               1       0     113,202     438,146      35

    python -m tests.model TROUBLES INTERRUPTIONS [CARDS [FLAW [GUARANTEE]]] [gate] [away]

To read it: `row` is the saga's row and how it moves, `provider` the provider's books, `state`
all there is in one value, `protocol` who may do what when, `guarantees` what must hold, `flaws`
the rules, as what is wrong without each. With any flaw the walk finds a broken promise, and its
trace is the shortest story of why that rule is there.

The model is written by hand, so the tests hold it to the product where that is pure: its row
moves as `domain.saga.machine` does, its provider acts as the sandbox's ledger, its calls weigh
what they read as `domain.payments` does. Left out: batches and rows that are busy, budgets in
seconds, an operator's skip, steps after the pivot, looks, sagas that others let pass at the gate,
providers that make their own references.
"""
