"""What each step does, as functions over a batch: they ask the features and answer the engine's verdicts.

One module a subject, in the order in which a booking meets them: `seats`, `payment`,
`loyalty`, `confirmation`, and `cancellation` for undoing a confirmed booking.
"""
