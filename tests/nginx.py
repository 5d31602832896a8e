"""The nginx of the manual as a process: the block that stands there, on a port of this machine."""

import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPSConnection
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.server import PROJECT, Server

MANUAL = PROJECT / "docs/configure.md"
NAME = "neuralflow.example.com"
READY_SECONDS = 20
# OpenSSL goes by the machine's clock, the suite perhaps by another (`tests.harness.clocks`).
_VALID = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_HTTP = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
{block}
}}
"""


def program() -> str | None:
    """The nginx that is installed, or the one that `make test-tools` unpacks."""
    places = (shutil.which("nginx"), "/usr/sbin/nginx", PROJECT / ".tools/usr/sbin/nginx")
    return next((str(place) for place in places if place and Path(place).is_file()), None)


def documented_block() -> str:
    """The configuration that the manual gives."""
    (block,) = re.findall(r"^```nginx\n(.*?)^```", MANUAL.read_text("utf-8"), re.S | re.M)
    return str(block)


@dataclass(frozen=True)
class Proxy:
    """A running nginx in front of a server."""

    port: int
    certificate: Path

    @property
    def host(self) -> str:
        return f"{NAME}:{self.port}"

    def connection(self) -> HTTPSConnection:
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.check_hostname = False  # the name is that of the manual, the address this machine's
        return HTTPSConnection("127.0.0.1", self.port, timeout=60, context=context)


def _make_certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_VALID[0])
        .not_valid_after(_VALID[1])
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    paths = folder / "fullchain.pem", folder / "privkey.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(private)
    return paths


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _adapted(block: str, port: int, server: Server, certificate: Path, key: Path) -> str:
    """The block with this machine's port, server and certificate; each must be named in it."""
    for pattern, text in (
        (r"listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        (r"proxy_pass http://127\.0\.0\.1:8000;", f"proxy_pass {server.address};"),
        (r"ssl_certificate [^;]+;", f"ssl_certificate {certificate};"),
        (r"ssl_certificate_key [^;]+;", f"ssl_certificate_key {key};"),
    ):
        block, changed = re.subn(pattern, text, block)
        assert changed == 1, f"the manual's block has {changed} times {pattern}"
    return block


@contextmanager
def running_nginx(folder: Path, server: Server) -> Iterator[Proxy]:
    """Serves as the manual says until the end of the block."""
    nginx = program()
    assert nginx is not None
    port = _free_port()
    certificate, key = _make_certificate(folder)
    block = _adapted(documented_block(), port, server, certificate, key)
    is_root = folder.owner() == "root"
    user = "user root;" if is_root else ""  # the folders of tests are open to their owner only
    path = folder / "nginx.conf"
    path.write_text(_HTTP.format(folder=folder, block=block, user=user))
    log = folder / "error.log"
    process = subprocess.Popen([nginx, "-p", str(folder), "-c", str(path), "-e", str(log)])
    try:
        _wait_for(port, process, log)
        yield Proxy(port, certificate)
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"nginx does not listen: {log.read_text()}")
