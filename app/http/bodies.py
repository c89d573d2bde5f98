"""Bodies of requests: each bounded in size and in time, and all that are being read together in what they take up."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.requests import ClientDisconnect, Request

from app.http.answers import HttpRefusal, limit_refusal
from app.limit_settings import MEBIBYTE

__all__ = ["Bodies"]

#: Of all that have been begun and are not whole yet.
READING_BYTES_MAX: Final = 64 * MEBIBYTE
READ_SECONDS_MAX: Final = 30.0
RETRY_AFTER_SECONDS: Final = 2


class Bodies:
    """Reads bodies of at most `bytes_max` each."""

    def __init__(
        self,
        bytes_max: int = MEBIBYTE,
        *,
        reading_bytes_max: int = READING_BYTES_MAX,
        seconds_max: float = READ_SECONDS_MAX,
    ) -> None:
        self._bytes_max = bytes_max
        # One body can always be read.
        self._reading_bytes_max = max(bytes_max, reading_bytes_max)
        self._seconds_max = seconds_max
        self._reading_bytes = 0

    async def read(self, request: Request) -> bytes | HttpRefusal:
        """The body; it is never held whole to find out that it is too large."""
        body = bytearray()
        try:
            async with asyncio.timeout(self._seconds_max):
                return await self._read(request, body)
        except TimeoutError:
            return HttpRefusal(408, f"The body did not come within {self._seconds_max:g} s.", headers=_CLOSE)
        except ClientDisconnect:
            return HttpRefusal(400, "The body ended early.")
        finally:
            self._reading_bytes -= len(body)

    async def _read(self, request: Request, body: bytearray) -> bytes | HttpRefusal:
        async for chunk in request.stream():
            if len(body) + len(chunk) > self._bytes_max:
                message = f"The body is larger than {self._bytes_max} bytes."
                return limit_refusal(413, message, limit=self._bytes_max, close=True)
            if self._reading_bytes + len(chunk) > self._reading_bytes_max:
                message = f"{self._reading_bytes_max} bytes of bodies are being read; come back later."
                return limit_refusal(
                    503, message, limit=self._reading_bytes_max, retry_after_seconds=RETRY_AFTER_SECONDS, close=True
                )
            body += chunk
            self._reading_bytes += len(chunk)
        return bytes(body)


_CLOSE: Final = {"Connection": "close"}
