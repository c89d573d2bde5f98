"""The audit: every invariant of the stored data, checked in one place. `seatsaga doctor` prints its result.

`examine` reads the whole database in one read transaction and returns an `Examination`: findings (rules that hold, or
their violations with the ids to look at), listings (facts that an operator may want to know) and what it skipped.

- `seats`, `payments`, `loyalty`, `events`, `saga`, `bulk`: the rules of one room's tables. These modules
  are the only ones outside a room that may import its tables.
- `values`: whether every value can be read: known to this release, and of its column's type.
- `rules`: what must agree between rooms about one saga. A rule is a function from a `Dossier` to its violations.
- `provider`: what must agree with the payment provider's books.
- `examination`: reads slice by slice and applies all rules. The number of statements grows with the slices (of up to
  5,000 sagas), not with the sagas.

Add a rule to the module of its room, or to `RULES` if it joins rooms.
"""

from domain.audit.examination import Examination, SweepSchedule, examine
from domain.audit.findings import Finding, Listing, Note, Violation

__all__ = [
    "Examination",
    "Finding",
    "Listing",
    "Note",
    "SweepSchedule",
    "Violation",
    "examine",
]
