"""The record of operator actions: one append-only table, written in the transaction of the action.

::

    operator ──cancel, retry, skip──▶ the saga's signal  + operator_actions      one transaction
             ──run, pause, ...──────▶ the job's or the
                                      provider's control + operator_actions      one transaction
             ──pay, cancel, ...─────▶ a customer's saga  + operator_actions      one transaction
             ──import, restore, ...─▶ the data           + operator_actions      one transaction

A trigger of the database refuses to change or delete an entry, and no job removes one. An action that changes
nothing, because it is already done or is refused, has no entry.
"""

from domain.operators.model import Entry, OperatorAction, OperatorActionKind
from domain.operators.records import (
    ActionQuery,
    Change,
    SignalAsked,
    actions_by_ids,
    count_actions,
    page_actions,
    record,
    record_all,
    record_entry,
    settlements_of,
    signals_asked,
)

__all__ = [
    "ActionQuery",
    "Change",
    "Entry",
    "OperatorAction",
    "OperatorActionKind",
    "SignalAsked",
    "actions_by_ids",
    "count_actions",
    "page_actions",
    "record",
    "record_all",
    "record_entry",
    "settlements_of",
    "signals_asked",
]
