"""The address that is looked at, and how it is asked."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import httpx

from app.settings import is_loopback

__all__ = ["ASK_SECONDS_MAX", "Target"]

ASK_SECONDS_MAX: Final = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """`url` has no slash at its end. `token` is sent only where others cannot read it."""

    url: str
    token: str | None
    trust: ssl.SSLContext

    @property
    def is_secure(self) -> bool:
        """Whether the address is https."""
        return self.url.startswith("https:")

    @property
    def host(self) -> str:
        """The host alone."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port, the scheme's own if none is named."""
        return urlsplit(self.url).port or (443 if self.is_secure else 80)

    @property
    def origin(self) -> str:
        """Of pages of this address."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def authority(self) -> str:
        """Host and port as the client sends them."""
        return urlsplit(self.url).netloc

    @property
    def is_here(self) -> bool:
        """Whether it is this machine."""
        return is_loopback(self.host)

    @property
    def bearer(self) -> dict[str, str]:
        """The token as a header, if there is one and the way is safe."""
        is_safe = self.is_here or (self.is_secure and self.trust.verify_mode is ssl.CERT_REQUIRED)
        return {"Authorization": f"Bearer {self.token}"} if self.token and is_safe else {}

    def client(self) -> httpx.AsyncClient:
        """Follows no redirect, and fails after ASK_SECONDS_MAX."""
        return httpx.AsyncClient(verify=self.trust, timeout=ASK_SECONDS_MAX, trust_env=False)
