"""`seatsaga` whose feeds give a reader up that leaves one event untaken: so that a client meets SLOW_CONSUMER.

To fill the real buffer of 1,000 events, and the kernel's before it, takes ten seconds of silence.
"""

from __future__ import annotations

from unittest.mock import patch

from app.cli import main
from domain.events.feed import Feed

if __name__ == "__main__":
    kept = Feed.__init__.__kwdefaults__ or {}
    with patch.object(Feed.__init__, "__kwdefaults__", {**kept, "buffer_events_max": 1}):
        main()
