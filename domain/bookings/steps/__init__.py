"""The functions of each step, over a batch: they call the features and return the engine's verdicts.

One module a subject, in the order in which a booking meets them: `seats`, `payment`,
`loyalty`, `confirmation`, and `cancellation` for undoing a confirmed booking.
"""
