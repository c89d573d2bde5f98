"""`python -m app`, which says at its end what its garbage collector was told."""

from __future__ import annotations

import atexit
import gc

from app.cli import main


def tell() -> None:
    print("collector:", *gc.get_threshold(), gc.get_freeze_count(), flush=True)


if __name__ == "__main__":
    atexit.register(tell)
    main()
