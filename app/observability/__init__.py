"""Logs and metrics: they attach to what the domain emits and never slow it down.

`pipeline` carries what is to be told from the event loop to a thread; `saga_lines` and
`booking_lines` say it, `logging` sets it all up; `metrics` counts.
"""
