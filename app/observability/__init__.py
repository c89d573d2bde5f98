"""Logs and metrics: they handle the signals that the domain emits and never slow it down.

`pipeline` carries signals from the event loop to a thread; `saga_lines` and `request_lines` turn
them into log lines; `logging` sets up the log. `metrics` and `event_counts` count signals;
`standing` reads gauges from the database.
"""
