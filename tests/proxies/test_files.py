"""The shipped files start, and the one that cannot be run here says the same as the one that can."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from tests.support.proxies import KINDS, SHIPPED, Kind, proxy

NOBODY: Final = 9
INGRESS: Final = SHIPPED["nginx"].parent / "ingress.yaml"
ANNOTATION: Final = "nginx.ingress.kubernetes.io/"


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_shipped_file_starts_and_says_readably_that_no_server_is_there(kind: Kind, tls: bool) -> None:
    with proxy(kind, [NOBODY], tls=tls, base_path="/seats") as running:
        with httpx.Client(verify=_trust(running.authority)) as client:
            answer = client.get(f"{running.address}/graphql")
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
            assert answer.json()["errors"][0]["extensions"] == {"code": "UNAVAILABLE", "retryAfterSeconds": 1}
            if tls:
                moved = client.get(f"{running.plain_url}/seats/graphql")
                assert moved.status_code == 308
                assert moved.headers["location"].startswith("https://localhost")


@pytest.mark.parametrize("kind", KINDS)
def test_a_proxy_that_was_lost_comes_back_at_its_address(kind: Kind) -> None:
    with proxy(kind, [NOBODY]) as running:
        running.stop()
        with pytest.raises(httpx.ConnectError):
            httpx.get(running.url)
        running.start()
        assert httpx.get(f"{running.url}/graphql").status_code == 503


def _trust(authority: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority))


# ---------------------------------------------------------------------- ingress.yaml


def directive(name: str) -> str:
    """The value of a directive of nginx.conf that stands there once."""
    (value,) = re.findall(rf"^ *{name}\s+(.+?);$", SHIPPED["nginx"].read_text(), re.MULTILINE | re.DOTALL)
    return " ".join(value.split())


def documents() -> tuple[dict[str, Any], dict[str, str]]:
    """The annotations of the ingress, and the settings of its controller."""
    ingress, controller, _ = yaml.safe_load_all(INGRESS.read_text())
    annotations = {name.removeprefix(ANNOTATION): value for name, value in ingress["metadata"]["annotations"].items()}
    return annotations, controller["data"]


def test_the_ingress_says_what_nginx_says() -> None:
    annotations, _ = documents()
    assert annotations.pop("force-ssl-redirect") == "true"
    assert annotations.pop("proxy-body-size") == directive("client_max_body_size")
    assert annotations == {
        "proxy-http-version": directive("proxy_http_version"),
        "proxy-connect-timeout": directive("proxy_connect_timeout").removesuffix("s"),
        "proxy-read-timeout": directive("proxy_read_timeout").removesuffix("s"),
        "proxy-send-timeout": directive("proxy_send_timeout").removesuffix("s"),
    }


def test_the_controller_says_what_nginx_says() -> None:
    _, settings = documents()
    assert {name: settings.pop(name) for name in ("use-gzip", "hsts", "server-tokens", "hsts-include-subdomains")} == {
        "use-gzip": "true" if directive("gzip") == "on" else "false",
        "hsts": "true",
        "server-tokens": "true" if directive("server_tokens") == "on" else "false",
        "hsts-include-subdomains": "false",
    }
    assert f"return {settings.pop('http-redirect-code')} https" in SHIPPED["nginx"].read_text()
    assert f'"max-age={settings.pop("hsts-max-age")}"' in SHIPPED["nginx"].read_text()
    assert settings == {
        "gzip-min-length": directive("gzip_min_length"),
        "gzip-types": directive("gzip_types"),
        "upstream-keepalive-timeout": directive("keepalive_timeout").removesuffix("s"),
        "ssl-protocols": directive("ssl_protocols"),
    }
