"""The saga protocol as a small model, and a walk through everything that can happen to it.

One saga (RESERVE, AUTHORIZE, CONFIRM), one seat, one payment reference; two replicas, a sweep,
an operator, another booking that wants the seat, and a provider that loses answers, acts late
and keeps its 500s. Where the customer pays later, the saga waits for cards: so many may be said.
The walk takes every move in every order, until nothing new is met, and asks of each whether it
breaks a promise; at the end it asks of each state whether the saga can still end by itself. What
is bounded is how often something goes wrong in one run, not how long it is::

    troubles   interruptions   cards      states       moves   depth
           1               2       0      71,269     262,085      31   in every test run, with those below
           2               1       0      29,755      98,907      30
           2               1       2      35,202     116,212      32
           1               2       2      79,366     290,512      33   by hand, as are more
           2               2       0     359,920   1,494,229      36
           3               1       0      96,170     353,293      35

    python -m tests.model TROUBLES INTERRUPTIONS [CARDS [FLAW [GUARANTEE]]]

To read it: `row` is the saga's row and how it moves, `provider` the provider's books, `state`
all there is in one value, `protocol` who may do what when, `guarantees` what must hold, `flaws`
the rules, as what is wrong without each. With any flaw the walk finds a broken promise, and its
trace is the shortest story of why that rule is there.

The model is written by hand, so the tests hold it to the product where that is pure: its row
moves as `domain.saga.machine` does, its provider acts as the sandbox's ledger, its calls weigh
what they read as `domain.payments` does. Left out: batches and rows that are busy, budgets in
seconds, an operator's skip, steps after the pivot, looks, calls
that were not sent and the gate before them, providers that make their own references.
"""
