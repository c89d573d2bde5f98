"""Every check: what should hold, and what to change in nginx, HAProxy and Caddy where it does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["CHECKS", "Check"]

_PAGE: Final = "docs/proxies.md"


@dataclass(frozen=True, slots=True)
class Check:
    """What should hold, what to change if it does not, and the section of the page that explains it."""

    holds: str
    nginx: str
    haproxy: str
    caddy: str
    section: str

    @property
    def docs(self) -> str:
        """The page and its section."""
        return f"{_PAGE}#{self.section}"


CHECKS: Final = {
    "reachable": Check(
        "The address leads to seatsaga.",
        nginx="location and proxy_pass; proxy_pass without a path, so that the path is passed on",
        haproxy="use_backend and the server lines; `show stat` shows whether a server is up",
        caddy="reverse_proxy and its matcher",
        section="base-path",
    ),
    "redirect": Check(
        "Plain HTTP is redirected to https with 307 or 308, which keep the method.",
        nginx="return 308 https://$host$request_uri;",
        haproxy="http-request redirect scheme https code 308",
        caddy="no site for http://; Caddy redirects by itself",
        section="tls",
    ),
    "tls": Check(
        "The certificate is valid, with its chain, for two more weeks or longer.",
        nginx="ssl_certificate names a file with the certificate and then the chain; reload after a renewal",
        haproxy="crt names a file with the certificate, the chain and the key; reload after a renewal",
        caddy="no tls line: Caddy renews by itself; its log says what fails",
        section="tls",
    ),
    "http2": Check(
        "HTTP/2 is offered, so that a browser's streams share one connection.",
        nginx="listen 443 ssl http2;",
        haproxy="bind ... alpn h2,http/1.1",
        caddy="servers { protocols h1 h2 h3 }",
        section="tls",
    ),
    "host": Check(
        "Host arrives as the client sent it, with its port: pages of the address may open sockets.",
        nginx="proxy_set_header Host $http_host;",
        haproxy="no set-header Host",
        caddy="no header_up Host",
        section="client-addresses",
    ),
    "origin": Check(
        "Origin arrives: sockets of pages of other sites are refused.",
        nginx="no proxy_set_header Origin",
        haproxy="no set-header Origin, no del-header Origin",
        caddy="no header_up Origin",
        section="client-addresses",
    ),
    "forwarded": Check(
        "The server learns the client's address and scheme from the proxy, and not from the client.",
        nginx="proxy_set_header X-Forwarded-For $remote_addr; and X-Forwarded-Proto $scheme; Forwarded and "
        'X-Forwarded-Prefix ""',
        haproxy="http-request set-header X-Forwarded-For %[src] and X-Forwarded-Proto; del-header Forwarded and "
        "X-Forwarded-Prefix",
        caddy="trusted_proxies without addresses of clients; header_up -Forwarded and -X-Forwarded-Prefix",
        section="client-addresses",
    ),
    "websocket": Check(
        "WebSockets pass.",
        nginx="proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; and Connection from a map",
        haproxy="mode http, without option httpclose and without del-header Upgrade",
        caddy="no header_up for Upgrade or Connection",
        section="websockets-and-streams",
    ),
    "sse": Check(
        "Server-Sent Events arrive at once.",
        nginx="no proxy_ignore_headers X-Accel-Buffering; or proxy_buffering off;",
        haproxy="no option http-no-delay is needed; look for a cache or a filter",
        caddy="no response_buffers or buffer_responses; no encode of text/event-stream",
        section="websockets-and-streams",
    ),
    "multipart": Check(
        "Parts of a multipart stream arrive at once.",
        nginx="no proxy_ignore_headers X-Accel-Buffering; or proxy_buffering off;",
        haproxy="no option http-no-delay is needed; look for a cache or a filter",
        caddy="no response_buffers or buffer_responses; no encode of multipart/mixed",
        section="websockets-and-streams",
    ),
    "stream-compression": Check(
        "Streams are not compressed.",
        nginx="gzip_types without text/event-stream and multipart/mixed",
        haproxy="compression type without text/event-stream",
        caddy="encode with a matcher of Content-Type",
        section="compression",
    ),
    "keep-alive": Check(
        "A silent stream or socket stays open for longer than 10 s, the interval of keep-alives.",
        nginx="proxy_read_timeout 60s; proxy_send_timeout 60s;",
        haproxy="timeout client, timeout server and timeout tunnel 60s",
        caddy="no stream_timeout, no read_timeout below 60s",
        section="timeouts",
    ),
    "patience": Check(
        "An answer may take 20 s, the longest waitSeconds.",
        nginx="proxy_read_timeout 60s;",
        haproxy="timeout server 60s",
        caddy="transport http { response_header_timeout 60s }",
        section="timeouts",
    ),
    "compression": Check(
        "JSON is compressed.",
        nginx="gzip on; gzip_proxied any; gzip_types application/json application/graphql-response+json ...",
        haproxy="filter compression; compression algo gzip; compression type application/json ...",
        caddy="encode gzip",
        section="compression",
    ),
    "caching": Check(
        "Answers with no-store are not cached.",
        nginx="no proxy_cache; no proxy_ignore_headers Cache-Control; no add_header Cache-Control",
        haproxy="no http-request cache-use",
        caddy="no cache handler; no header Cache-Control",
        section="limits",
    ),
    "body-limit": Check(
        "A body of more than 1 MiB is refused, or taken, in a form that GraphQL clients read.",
        nginx="client_max_body_size 2m; and error_page 413",
        haproxy="no deny by req.body_size without http-error 413",
        caddy="no request_body max_size below 2MB",
        section="limits",
    ),
}
