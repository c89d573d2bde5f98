"""Reconciliation: the provider's books against ours, both ways, a page at a time. Each difference is a finding.

::

    walk of a window of time, a page a turn                        judge (pure)              findings
    ┌────────────────────────────────────────────────┐   entry   ┌─────────────┐  first seen  ┌──────────┐
    │ FINDINGS   those that are open, again          │ ────────▶ │ what should │ ───────────▶ │ open     │
    │ PAYMENTS   theirs, created in the window       │           │ be, what is │  seen again  │          │
    │ REFUNDS    theirs, given back in the window    │ our saga, │             │  agrees now  │          │
    │ DISPUTES   theirs, disputed in the window      │ payment,  │             │ ───────────▶ │ ended    │
    │ OURS       our sagas that ended in the window  │ booking   │             │    mended    │          │
    │ ACTIVE     our sagas that do not end           │ ────────▶ └─────────────┘ ───────────▶ └──────────┘
    └────────────────────────────────────────────────┘

**The walk** goes through windows of time that join: the next one begins where the last one ended. Its
place (window, phase, page) is a row in the database and moves in the transaction that stores what was
found, so a killed process loses no page, and one replica at a time takes a turn. After a restore of an
earlier moment the row is as old as all other rows: the walk goes again through what happened since.

**What is judged** is settled. Our side is read after the provider's, in one statement. A saga that has
not ended, or ended only when the provider was being asked, is no difference: its end is in the window of
a later walk. The newest minutes are left to the next walk. So nothing that is under way is reported, and
nothing is left out.

**What is mended**, if it is asked for: money, or a payment that can still be authorized, of a saga that
is COMPENSATED, and money of a booking whose cancellation is COMPLETED. Nobody else acts on these any
more, and the one function that undoes payments acts on them, `payments.ensure_no_charge`, which reads
the payment again. All else needs a person: money under a correlation ID that we do not know may be all
that is left of a booking that a customer counts on.

`Difference` is the closed set of what can differ, with a sentence each.
"""

from domain.reconciliation.differences import Difference, Ending, Finding
from domain.reconciliation.findings import OpenTotals, open_findings, open_totals
from domain.reconciliation.service import Reconciliation, Tally
from domain.reconciliation.walk import SINCE_SECONDS_DEFAULT, YOUNG_SECONDS

__all__ = [
    "SINCE_SECONDS_DEFAULT",
    "YOUNG_SECONDS",
    "Difference",
    "Ending",
    "Finding",
    "OpenTotals",
    "Reconciliation",
    "Tally",
    "open_findings",
    "open_totals",
]
