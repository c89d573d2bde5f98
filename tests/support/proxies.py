"""nginx, HAProxy and Caddy with the files of docs/proxies, as system packages bring them.

::

    with proxy("nginx", [server.port]) as nginx:
        nginx.url                  http://127.0.0.1:PORT, for clients
        nginx.stop(); nginx.start()     the network is lost, and comes back, on the same port

In a shipped file only addresses, paths and what only root may do are replaced; each replaced text must be there, so
that a changed file is noticed. With `tls` the proxy has a certificate for `localhost` of an authority of its own.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cluster.processes import free_port, start
from tests.support.required import require

__all__ = ["KINDS", "SHIPPED", "Kind", "Proxy", "certify", "proxy"]

Kind = Literal["nginx", "haproxy", "caddy"]
KINDS: Final[tuple[Kind, ...]] = ("nginx", "haproxy", "caddy")
_PAGES: Final = Path(__file__).parents[2] / "docs" / "proxies"
SHIPPED: Final[dict[Kind, Path]] = {
    "nginx": _PAGES / "nginx.conf",
    "haproxy": _PAGES / "haproxy.cfg",
    "caddy": _PAGES / "Caddyfile",
}
#: Packages install programs here; this folder is often not in the PATH of ordinary users.
_FOLDER: Final = "/usr/sbin"
START_SECONDS_MAX: Final = 10.0
LOOK_SECONDS: Final = 0.01
Edit = Callable[[str], str]


def proxy(
    kind: Kind,
    upstream_ports: Sequence[int],
    *,
    tls: bool = False,
    base_path: str = "",
    edit: Edit | None = None,
    validity: datetime.timedelta = datetime.timedelta(days=90),
) -> Proxy:
    """A proxy before the servers at these ports, running. Call it on the main thread.

    `edit`: a change of the file, for tests of what the change does. `validity`: how long the certificate is valid.
    """
    missing = None if _program(kind) else f"{kind} is not installed; run: apt-get install {kind}"
    require("PROXIES", missing)
    running = Proxy(kind, upstream_ports, tls=tls, base_path=base_path, edit=edit, validity=validity)
    try:
        running.start()
    except BaseException:
        running.close()
        raise
    return running


class Proxy:
    """One proxy, on ports and in a folder of its own. A context manager, which ends it."""

    def __init__(
        self,
        kind: Kind,
        upstream_ports: Sequence[int],
        *,
        tls: bool,
        base_path: str,
        edit: Edit | None,
        validity: datetime.timedelta,
    ) -> None:
        self.kind = kind
        self.port, self._plain_port = free_port(), free_port()
        self._tls, self._base_path, self._edit = tls, base_path, edit
        self._process: subprocess.Popen[bytes] | None = None
        self.folder = Path(tempfile.mkdtemp(prefix=f"seatsaga-{kind}-"))
        # The workers of nginx have another user.
        self.folder.chmod(0o755)
        certify(self.folder, validity)
        self.configure(upstream_ports)

    @property
    def url(self) -> str:
        """The address for clients, without the base path."""
        return f"https://localhost:{self.port}" if self._tls else f"http://127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """`url` with the base path, as a client is told it."""
        return self.url + self._base_path

    @property
    def plain_url(self) -> str:
        """With TLS: the address that redirects to `url`."""
        return f"http://localhost:{self._plain_port}"

    @property
    def authority(self) -> Path:
        """The certificate of the authority, in PEM."""
        return self.folder / "authority.pem"

    @property
    def log(self) -> str:
        """The access log up to now."""
        path = self.folder / ("output.txt" if self.kind == "haproxy" else "access.log")
        return path.read_text(errors="replace") if path.exists() else ""

    def configure(self, upstream_ports: Sequence[int]) -> None:
        """Write the file anew, for these servers. `reload` makes a running proxy read it."""
        text = SHIPPED[self.kind].read_text()
        write = {"nginx": _nginx, "haproxy": _haproxy, "caddy": _caddy}[self.kind]
        place = _Place(self.folder, self.port, self._plain_port, tuple(upstream_ports), self._tls, self._base_path)
        text = _replaced(text, write(place))
        self._file.write_text(self._edit(text) if self._edit else text)

    def start(self) -> None:
        """Start it, on the same port as before; return once it accepts connections."""
        commands: dict[Kind, list[str | Path]] = {
            "nginx": ["-p", self.folder, "-e", self.folder / "error.log", "-c", self._file, "-g", "daemon off;"],
            "haproxy": ["-W", "-db", "-f", self._file],
            "caddy": ["run", "--config", self._file, "--adapter", "caddyfile"],
        }
        program = _program(self.kind)
        assert program is not None
        # Caddy keeps what it has learnt there.
        environment = os.environ | {"HOME": str(self.folder), "XDG_DATA_HOME": str(self.folder)}
        self._process = start(
            [program, *commands[self.kind]],
            output=self.folder / "output.txt",
            folder=self.folder,
            environment=environment,
            # SIGKILL would leave the workers.
            at_death=signal.SIGTERM,
        )
        deadline = time.monotonic() + START_SECONDS_MAX
        while not _accepts(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.kind} did not start:\n{self._said()}")
            time.sleep(LOOK_SECONDS)

    def reload(self, upstream_ports: Sequence[int] | None = None) -> None:
        """Read the file again, as an operator does; with `upstream_ports`, for these servers. Connections stay."""
        assert self._process is not None
        if upstream_ports is not None:
            self.configure(upstream_ports)
        if self.kind == "caddy":
            command = [str(_program("caddy")), "reload", "--config", str(self._file), "--adapter", "caddyfile"]
            subprocess.run(command, cwd=self.folder, capture_output=True, timeout=START_SECONDS_MAX, check=True)
        else:
            self._process.send_signal(signal.SIGHUP if self.kind == "nginx" else signal.SIGUSR2)

    def stop(self) -> None:
        """End it and all its connections at once; does nothing if it is not running."""
        if self._process is not None:
            # Workers are in the session that the first process began.
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """End it, and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _file(self) -> Path:
        return self.folder / SHIPPED[self.kind].name

    def _said(self) -> str:
        files = [self.folder / name for name in ("output.txt", "error.log")]
        return "\n".join(file.read_text(errors="replace")[-2000:] for file in files if file.exists())


# ---------------------------------------------------------------------- the shipped files, for a test


@dataclass(frozen=True)
class _Place:
    """Where a proxy under test runs."""

    folder: Path
    port: int
    plain_port: int
    upstream_ports: tuple[int, ...]
    tls: bool
    base_path: str


Replacements = Iterable[tuple[str, str]]


def _replaced(text: str, replacements: Replacements) -> str:
    for old, new in replacements:
        assert old in text, f"the shipped file no longer has: {old}"
        text = text.replace(old, new)
    return text


def _nginx(at: _Place) -> Replacements:
    servers = "\n".join(f"        server 127.0.0.1:{port} max_fails=1 fail_timeout=1s;" for port in at.upstream_ports)
    yield "        server 127.0.0.1:8000 max_fails=1 fail_timeout=1s;", servers
    yield "/run/nginx.pid", str(at.folder / "nginx.pid")
    yield "/var/log/nginx", str(at.folder)
    yield "worker_processes auto;", "worker_processes 1;"
    temporary = "".join(f"{kind}_temp_path {at.folder};\n" for kind in ("client_body", "fastcgi", "uwsgi", "scgi"))
    yield "http {\n", f"http {{\n{temporary}proxy_temp_path {at.folder}/proxy;\n"
    yield "listen 80 default_server;", f"listen 127.0.0.1:{at.plain_port} default_server;"
    # The proxy's usual port is not in the address that it redirects to.
    yield "https://$host$request_uri", f"https://$host:{at.port}$request_uri"
    if at.tls:
        yield "listen 443 ssl http2 default_server;", f"listen 127.0.0.1:{at.port} ssl http2 default_server;"
        yield "/etc/ssl/certs/book.example.pem", str(at.folder / "chain.pem")
        yield "/etc/ssl/private/book.example.key", str(at.folder / "key.pem")
    else:
        yield "listen 443 ssl http2 default_server;", f"listen 127.0.0.1:{at.port} default_server;"
        yield "        ssl_certificate /etc/ssl/certs/book.example.pem;\n", ""
        yield "        ssl_certificate_key /etc/ssl/private/book.example.key;\n", ""
    if at.base_path:
        yield "        location / {", f"        location {at.base_path}/ {{"


def _haproxy(at: _Place) -> Replacements:
    servers = "\n".join(f"    server s{port} 127.0.0.1:{port}" for port in at.upstream_ports)
    yield "    server first 127.0.0.1:8000", servers
    yield "    user haproxy\n    group haproxy\n", ""
    yield "log /dev/log local0", "log stdout format raw local0"
    yield "bind :80\n", f"bind 127.0.0.1:{at.plain_port}\n"
    yield "redirect scheme https code 308", f"redirect location https://localhost:{at.port}%[url] code 308"
    certificate = f" ssl crt {at.folder / 'all.pem'} alpn h2,http/1.1" if at.tls else ""
    yield "bind :443 ssl crt /etc/haproxy/book.example.pem alpn h2,http/1.1", f"bind 127.0.0.1:{at.port}{certificate}"
    if at.base_path:
        yield "    default_backend seatsaga", f"    use_backend seatsaga if {{ path_beg {at.base_path}/ }}"


def _caddy(at: _Place) -> Replacements:
    servers = " ".join(f"127.0.0.1:{port}" for port in at.upstream_ports)
    path = f"{at.base_path}/* " if at.base_path else ""
    yield "reverse_proxy 127.0.0.1:8000 {", f"reverse_proxy {path}{servers} {{"
    plain, secure = (at.plain_port, at.port) if at.tls else (at.port, at.plain_port)
    ports = f"http_port {plain}\n\thttps_port {secure}\n\tdefault_bind 127.0.0.1"
    yield "admin localhost:2019", f"admin unix/{at.folder}/admin.sock\n\t{ports}"
    yield "/var/log/caddy/seatsaga.log", str(at.folder / "access.log")
    if at.tls:
        yield "\nbook.example {", "\nlocalhost {"
        certificate = f"tls {at.folder / 'chain.pem'} {at.folder / 'key.pem'}"
        yield "# tls /etc/ssl/certs/book.example.pem /etc/ssl/private/book.example.key", certificate
    else:
        yield "\nbook.example {", f"\nhttp://:{at.port} {{"


# ---------------------------------------------------------------------- certificates


def certify(folder: Path, validity: datetime.timedelta) -> None:
    """Write to `folder` an authority, and what it issues for localhost: chain.pem, key.pem, and all.pem with both."""
    now = datetime.datetime.now(datetime.UTC)
    # Issued early enough that one may have expired.
    begins = now - datetime.timedelta(days=400)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name = _named("seatsaga tests")

    def certificate(
        name: x509.Name, public: ec.EllipticCurvePublicKey, end: datetime.datetime, *extensions: x509.ExtensionType
    ) -> bytes:
        builder = x509.CertificateBuilder(root_name, name, public, x509.random_serial_number(), begins, end)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(root_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    root = certificate(
        root_name,
        root_key.public_key(),
        now + datetime.timedelta(days=400),
        x509.BasicConstraints(ca=True, path_length=0),
        x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()),
        _usage(signs_certificates=True),
    )
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    chain = certificate(
        _named("localhost"),
        key.public_key(),
        now + validity,
        x509.BasicConstraints(ca=False, path_length=None),
        x509.SubjectAlternativeName(names),
        authority,
        _usage(signs_certificates=False),
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for name, content in {
        "authority.pem": root,
        "chain.pem": chain,
        "key.pem": secret,
        "all.pem": chain + secret,
    }.items():
        (folder / name).write_bytes(content)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


@cache
def _program(kind: Kind) -> str | None:
    return shutil.which(kind, path=f"{os.environ.get('PATH', os.defpath)}:{_FOLDER}")


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
