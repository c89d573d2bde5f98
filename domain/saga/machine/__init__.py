"""One saga's state machine: pure, in memory, for the length of one transaction.

A `Run` is made from the saga's locked row and dropped when the transaction ends, so no state
outlives a rollback. Its methods are the things that can happen to a saga. Each changes the row,
notes the change of `saga_steps`, and appends the event; the event's number follows the sequence of
the locked row. `status` changes only along SAGA_TRANSITIONS.

A `Run` is one class told in five parts; each part uses only the parts above it::

    row        the columns, and the three ways to change them
    course     on to the next operation, round to undo, to the end; STUCK and back
    waits      a wait begins and ends; the present step is given up
    line       due times, the line for a place at a gate, calls that did not leave
    attempts   an attempt begins, its call leaves, its answer is settled
"""

from domain.saga.machine.attempts import Run
from domain.saga.machine.line import AFTER_SECONDS_MAX, LINE_SECONDS_MAX, Footing
from domain.saga.machine.row import StepChange

__all__ = ["AFTER_SECONDS_MAX", "LINE_SECONDS_MAX", "Footing", "Run", "StepChange"]
