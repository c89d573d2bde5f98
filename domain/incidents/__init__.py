"""Incidents: the sagas that need an operator, by cause and place, and what is at stake in each.

::

    sagas STUCK or PARKED ──▶ cause: status, step, compensation, failure code ──▶ one incident a cause
          │                                                                          │ sums
          └──▶ stake: what is taken or reserved and not given back ──────────────────┘
               money     the saga's payment, less what was refunded
               points    redeemed and not returned, awarded and not taken back
               seats     held or booked for it; a hold that has lapsed is not counted

**The stake of a saga** is what a customer or the airline would lose if nobody did anything more. A saga that
cancels a booking has the stake of that booking. A saga that is COMPLETED has none, and neither has one that an
operator has ended ABANDONED and settled since.

Everything is one statement over the sagas that are STUCK or PARKED, so its cost does not grow with the history. Only
columns are read, never a saga's context: a saga whose row no release can read is part of its incident like any other.
As the audit does, this room reads other rooms' tables.
"""

from domain.incidents.causes import Incident, incidents, sagas_of
from domain.incidents.runbook import Runbook, runbook_of
from domain.incidents.stakes import AtStake, Unsettled, at_stake, unsettled

__all__ = [
    "AtStake",
    "Incident",
    "Runbook",
    "Unsettled",
    "at_stake",
    "incidents",
    "runbook_of",
    "sagas_of",
    "unsettled",
]
