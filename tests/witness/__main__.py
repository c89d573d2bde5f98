"""The witness's process: prints its two URLs, and serves until its standard input ends or it is terminated."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import signal

from starlette.applications import Starlette
from starlette.routing import Route

from tests.witness.api import Api
from tests.witness.control import control
from tests.witness.listener import Listener


async def serve(port: int, control_port: int) -> None:
    """Until SIGTERM."""
    api = Api(lambda client: listener.cut(client))
    listener = Listener(Starlette(routes=[Route("/v1/{path:path}", api.__call__, methods=["GET", "POST"])]), port)
    steering = Listener(control(api, lambda: listener), control_port)
    for each in (listener, steering):
        await each.open()
    print(f"http://127.0.0.1:{listener.port}", f"http://127.0.0.1:{steering.port}", flush=True)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    for each in (listener, steering):
        each.close()


def main() -> None:
    """Parse the ports and serve; it ends with the process that started it."""
    parser = argparse.ArgumentParser(prog="python -m tests.witness", description="A small Stripe for tests.")
    parser.add_argument("--port", type=int, default=0, help="the API's; 0: a free one")
    parser.add_argument("--control-port", type=int, default=0, help="the control plane's; 0: a free one")
    parser.add_argument("--stay", action="store_true", help="do not end with the process that started it")
    options = parser.parse_args()
    if not options.stay:
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    asyncio.run(serve(options.port, options.control_port))


if __name__ == "__main__":
    main()
