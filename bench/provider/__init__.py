"""The provider's bad day: seatsaga of today, seatsaga of before and DBOS book at the same small Stripe (tests.witness).

Each has a process and a witness of its own; all live the same day at the same time. The witness's books say what was
charged; each contestant counts the requests that it makes.
"""
