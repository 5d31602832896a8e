"""One figure: `python -m benchmarks.worker PEER WORKLOAD SIZE` prints seconds per operation."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.peers import PEERS, task
from benchmarks.workloads import OWNER, WORKLOADS


def main(peer_name: str, workload: str, size: str) -> None:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        peer = PEERS[peer_name](Path(folder))
        peer.fill(OWNER, map(task, range(int(size))))
        print(WORKLOADS[workload](peer, int(size)))
        peer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
