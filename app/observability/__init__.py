"""Logs and metrics: they attach to what the domain emits and never slow it down.

`pipeline` carries what is to be told from the event loop to a thread; `saga_lines` and
`request_lines` say it, `logging` sets it all up. `metrics` counts, with
`event_counts`; `standing` looks up what the database holds.
"""
