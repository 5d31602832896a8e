"""A separate program that reads a data folder by docs/format.md alone.

    python -m tests.docstore.independent_reader /srv/neuralflow/data

It imports nothing of the engine, so that a folder stays readable if the engine is lost.
"""

from __future__ import annotations

import json
import re
import struct
import sys
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

HEADER = struct.Struct("<4sIQQQII")
HEAD, COMMIT, RELAXED, PUBLISHING, PUBLISHED, CHECKPOINT, SEAL, CLOSED = range(1, 9)

Key = tuple[str, int]


class Damaged(Exception):
    """Acknowledged changes are in an unreadable part of the journal."""


class Frame(NamedTuple):
    epoch: int
    sequence: int
    durable: int
    kind: int
    payload: Any
    end: int


def frame_at(data: bytes, offset: int) -> Frame | None:
    if offset + HEADER.size > len(data):
        return None
    magic, crc, epoch, sequence, durable, length, kind = HEADER.unpack_from(data, offset)
    end = offset + HEADER.size + length + 1
    if magic != b"\xf7NFJ" or end > len(data) or zlib.crc32(data[offset + 8 : end]) != crc:
        return None
    payload = json.loads(data[offset + HEADER.size : end - 1])
    return Frame(epoch, sequence, durable, kind, payload, end)


def frames_of(data: bytes, first: int) -> list[Frame]:
    """Return the unbroken run at the beginning of a segment.

    Raises `Damaged` if it was longer once.
    """
    run: list[Frame] = []
    offset = 0
    while (frame := frame_at(data, offset)) is not None:
        if frame.sequence != first + len(run) or (run and frame.epoch != run[0].epoch):
            break
        run.append(frame)
        offset = frame.end
    at = data.find(b"\xf7NFJ", offset)
    while at >= 0:
        later = frame_at(data, at)
        is_same = later and later.epoch == (run[0].epoch if run else later.epoch)
        if later and is_same and later.durable >= first + len(run):
            raise Damaged(f"byte {offset}")
        at = data.find(b"\xf7NFJ", at + 1)
    if not run:
        raise Damaged("no beginning")
    return run


def journal_of(root: Path) -> tuple[list[Frame], bool]:
    """Return the frames behind the checkpoint, and whether the journal was closed in order."""
    folder = root / ".neuralflow" / "journal"
    names = sorted(
        path for path in folder.glob("*.journal") if re.fullmatch("[0-9]{16}", path.stem, re.A)
    )
    if not names:
        return [], True
    frames: list[Frame] = []
    checkpoint = -1
    for path in reversed(names):
        data = path.read_bytes()
        run = frames_of(data, int(path.stem))
        if frames and (run[-1].kind != SEAL or run[-1].sequence + 1 != frames[0].sequence):
            raise Damaged(path.name)
        if checkpoint < 0:
            for frame in run:
                if frame.kind == HEAD:
                    checkpoint = frame.payload["checkpoint"]
                elif frame.kind == CHECKPOINT:
                    checkpoint = frame.payload["sequence"]
            closed = run[-1].kind == CLOSED and not any(data[run[-1].end :])
        frames = run + frames
        if frames[0].sequence <= checkpoint + 1:
            break
    else:
        raise Damaged("a segment is missing")
    return [frame for frame in frames if frame.sequence > checkpoint], closed


class Waiting:
    """What the journal has about one document."""

    def __init__(self) -> None:
        self.changes: list[tuple[int, str, dict[str, Any]]] = []
        self.files: dict[tuple[int, int], int] = {}  # frame shown, by size and mtime


def waiting_in(frames: list[Frame], *, in_use: bool) -> dict[Key, Waiting]:
    documents: dict[Key, Waiting] = defaultdict(Waiting)
    epoch = max((frame.epoch + (frame.kind == SEAL) for frame in frames[-1:]), default=0)
    for frame in frames:
        if frame.kind in (COMMIT, RELAXED):
            for change in frame.payload["changes"]:
                document = documents[change["collection"], change["owner"]]
                if change.get("base"):
                    document.changes.clear()
                document.changes.append((frame.sequence, frame.payload["at"], change))
        elif frame.kind in (PUBLISHING, PUBLISHED):
            for note in frame.payload:
                document = documents[note["collection"], note["owner"]]
                if note["file"]:
                    document.files[note["file"][1], note["file"][2]] = note["sequence"]
                if frame.kind == PUBLISHED and in_use and frame.epoch == epoch:
                    document.changes = [
                        item for item in document.changes if item[0] > note["sequence"]
                    ]
    return documents


def applied(document: Any, at: str, change: dict[str, Any]) -> Any:
    if change.get("reset"):
        return change["edits"][0].get("after")
    for edit in change["edits"]:
        name, *ids = edit["path"]
        if not ids:
            if "after" in edit:
                document[name] = edit["after"]
            else:
                del document[name]
            continue
        records = document.setdefault(name, [])
        if "before" not in edit:
            records.append(edit["after"])
            continue
        if ids[0] < 0:
            assert records[: -ids[0]] == edit["before"]
            del records[: -ids[0]]
            continue
        (index,) = (n for n, record in enumerate(records) if record["id"] == ids[0])
        records[index : index + 1] = [edit["after"]] if "after" in edit else []
    document["updated_at"] = at
    document["revision"] = change["revision"]
    return document


def document_of(path: Path, waiting: Waiting | None) -> Any:
    """Return the document with this file; None if it does not exist."""
    document, shown = None, 0
    if path.exists():
        document, status = json.loads(path.read_text("utf-8-sig")), path.stat()
        if waiting:
            shown = waiting.files.get((status.st_size, status.st_mtime_ns), 0)
    changes = waiting.changes if waiting else []
    resets = [number for number, item in enumerate(changes) if item[2].get("reset")]
    if resets and changes[resets[-1]][0] > shown:
        document, changes = None, changes[resets[-1] :]
    elif shown:
        changes = [item for item in changes if item[0] > shown]
    elif changes:
        revision = document.get("revision", 0)
        changes = [item for item in changes if item[2]["revision"] > revision]
    for _, at, change in changes:
        document = applied(document, at, change)
    return document


def documents_in(
    root: Path, collections: dict[str, str], *, in_use: bool = False
) -> Iterator[tuple[str, Any]]:
    """Return all documents of a folder by name.

    `collections` maps each to the stem of its files.
    """
    frames, closed = journal_of(root)
    waiting = {} if closed else waiting_in(frames, in_use=in_use)
    for collection, stem in sorted(collections.items()):
        pattern = re.compile(rf"{stem}_([1-9][0-9]{{0,17}})\.json", re.A)
        matches = [pattern.fullmatch(path.name) for path in (root / collection).glob("*.json")]
        owners = {int(match[1]) for match in matches if match}
        owners |= {owner for name, owner in waiting if name == collection}
        for owner in sorted(owners):
            name = f"{collection}/{stem}_{owner}.json"
            document = document_of(root / name, waiting.get((collection, owner)))
            if document is not None:
                yield name, document


NEURALFLOW = {"users": "user", "tasks": "tasks", "projects": "projects", "models": "models"}

if __name__ == "__main__":
    for name, document in documents_in(Path(sys.argv[1]), NEURALFLOW):
        print(name, json.dumps(document))
