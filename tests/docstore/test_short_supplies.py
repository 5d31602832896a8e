"""With few open files or little memory, accepted writes are durable, and retries end."""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from docstore import DocumentStore, Key, StoreError, Transaction
from docstore.backends.files.backend import FilesBackend
from docstore.backends.files.publisher import files_at_once
from tests.docstore.layouts import ALICE_NOTES, LAYOUTS
from tests.harness.apart import start, wait

DOCUMENTS = 150


def opened(folder: Path, *, background: bool = False) -> DocumentStore:
    return DocumentStore(FilesBackend(folder, LAYOUTS, background=background), LAYOUTS)


def begin(number: int) -> Callable[[Transaction], None]:
    return lambda transaction: transaction.create(Key("notes", number), {"notes": []})


PUBLISH: Final = f"""
import os, sys
from pathlib import Path
from tests.docstore.test_short_supplies import begin, opened

for _ in range(int(sys.argv[2])):  # what others of the process have open
    os.open(os.devnull, os.O_RDONLY)
store = opened(Path(sys.argv[1]))
with store.backend.exclusive():
    for number in range(1, {DOCUMENTS}):
        store.change(begin(number))
store.publish()
store.change(begin({DOCUMENTS}))
store.close()
"""


@pytest.mark.parametrize(("allowed", "others"), [(48, 0), (80, 20), (200, 140)])
def test_publication_with_few_open_files_succeeds(
    tmp_path: Path, allowed: int, others: int
) -> None:
    subprocess.run(
        [sys.executable, "-c", PUBLISH, tmp_path, str(others)],
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed)),
        timeout=60,
    )
    assert len(list((tmp_path / "notes").glob("notes_*.json"))) == DOCUMENTS


def test_files_written_at_once_are_at_most_half_of_those_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for soft, right in ((20, 1), (64, 1), (90, 13), (1024, 64), (resource.RLIM_INFINITY, 64)):
        monkeypatch.setattr(
            "docstore.backends.files.publisher.resource.getrlimit",
            lambda what, soft=soft: (soft, soft),
        )
        assert files_at_once() == right


def test_little_memory_loses_no_acknowledged_write(tmp_path: Path) -> None:
    """A process may die of it:

    `msgspec.json.encode` of 0.22 dies with SIGSEGV instead of raising.
    """
    opened(tmp_path).change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": []}))
    receiving, sending = os.pipe()

    def work() -> None:
        faulthandler.disable()
        store = opened(tmp_path, background=True)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (48 << 20),) * 2)
        for number in range(1, 41):
            try:
                text = "x" * (number << 19)
                store.change(
                    lambda transaction, number=number, text=text: transaction.put(  # type: ignore[misc]
                        ALICE_NOTES, {"id": number, "text": text}
                    )
                )
            except (MemoryError, StoreError):
                os.write(sending, b"%d refused\n" % number)
            else:
                os.write(sending, b"%d\n" % number)
        os._exit(0)

    child = start(work)
    os.close(sending)
    with os.fdopen(receiving) as pipe:
        lines = pipe.read().split("\n")[:-1]
    assert wait(child) in (0, 1, -signal.SIGSEGV, -signal.SIGABRT)
    acknowledged = {int(line) for line in lines if not line.endswith("refused")}
    assert acknowledged
    assert len(acknowledged) < 40, "memory was not short"
    store = opened(tmp_path)
    document = store.read(ALICE_NOTES)
    assert document is not None
    assert acknowledged <= {note["id"] for note in document.content["notes"]}
    store.change(lambda transaction: transaction.put(ALICE_NOTES, {"id": 1000}))
    store.close()
