"""The files of one person in an archive, judged before anything is done with them.

An archive is what `exporting` makes, a backup, or a NeuralFlow folder as somebody zipped it, of any
age and owner. It is read twice. The first reading judges all of it, and keeps nothing but what is
wrong with it, so that no archive which is refused takes much memory; the second takes its records.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final, NamedTuple

from utils.json.pieces import MalformedDocument, Piece, pieces
from utils.json.values import (
    FAULTS_MAX,
    Faults,
    FieldError,
    checked_copy,
    key_fault,
    pointer_to,
    whole_number,
)
from utils.portability.archives import (
    MIB,
    Archive,
    ArchiveTooLarge,
    Entry,
    Limits,
    MalformedArchive,
)
from utils.portability.exporting import FORMAT, MANIFEST
from utils.table import COLLECTIONS, RECORD_COLLECTIONS, CollectionSpec, Record

RECORDS_MAX: Final = 100_000  # while they are written, everybody else waits
_MANIFEST_BYTES_MAX: Final = MIB
KEPT_BY_STORE: Final = {"revision", "last_id", "updated_at"}  # of the fields beside the records

_DOCUMENTS: Final = {
    f"{spec.layout.name}/{spec.layout.stem}": name for name, spec in COLLECTIONS.items()
}
_NAME: Final = re.compile(
    rf"(?P<before>(?:[^/]+/)*)(?P<kind>{'|'.join(_DOCUMENTS)})_(?P<owner>[1-9][0-9]{{0,17}})\.json"
)
_NOT_TAKEN: Final = {
    "users": "The account, its profile and its activities are never taken from an archive.",
    "activities": "Activities are never taken from an archive.",
    "shared": "Who shares what with whom is never taken from an archive.",
    "requests": "Answers to earlier calls are never taken from an archive.",
}


class ImportFault(NamedTuple):
    """One thing wrong in a file of an archive; `line` is 0 where a pointer tells the place."""

    file: str
    pointer: str
    detail: str
    line: int = 0


class InvalidImport(ValueError):
    """The files of an archive are not what can be taken in. `faults` names each, at most 100."""

    def __init__(self, faults: Sequence[ImportFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{one.file}{one.pointer} {one.detail}" for one in self.faults))


@dataclass
class Notes:
    """What a person may want to know of an import, the first hundred of them."""

    told: list[ImportFault] = field(default_factory=list)
    more: int = 0

    def add(self, file: str, pointer: str, detail: str) -> None:
        if len(self.told) < FAULTS_MAX:
            self.told.append(ImportFault(file, pointer, detail))
        else:
            self.more += 1


@dataclass
class Incoming:
    """The records of one file, as they stand in it, and the head fields beside them."""

    file: str
    records: list[Record] = field(default_factory=list)
    head: Record = field(default_factory=dict)


# Says what is wrong with a record of a collection; raises nothing.
Judge = Callable[[CollectionSpec, Record], Sequence[FieldError]]


class Package:
    """The files of one person in an archive, judged whole. Raises `ArchiveFault`,
    `InvalidImport`."""

    def __init__(
        self,
        file: BinaryIO,
        judge: Judge,
        *,
        owner: int | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._archive, self._judge = Archive(file, limits), judge
        self.notes = Notes()
        self._faults: list[ImportFault] = []
        self._count = 0
        self._documents = self._chosen(owner)
        self._check_all()
        if self._faults:
            raise InvalidImport(self._faults)

    def records(self) -> dict[str, Incoming]:
        """What is to be taken in, by collection."""
        found = {}
        for name, entry in self._documents.items():
            incoming = found[name] = Incoming(entry.name)
            for piece in pieces(self._archive.chunks(entry), COLLECTIONS[name].layout.records):
                if piece.position is not None:
                    incoming.records.append(_with_whole_id(piece.value))
                else:
                    incoming.head[piece.name] = whole_number(piece.value)
        return found

    # Which files

    def _chosen(self, owner: int | None) -> dict[str, Entry]:
        """The files of the one person whose records are wanted, by collection."""
        found: dict[int, dict[str, list[Entry]]] = {}
        for entry in self._archive.entries:
            if match := _NAME.fullmatch(entry.name):
                of_owner = found.setdefault(int(match["owner"]), {})
                of_owner.setdefault(_DOCUMENTS[match["kind"]], []).append(entry)
            elif not (
                entry.is_folder or entry.name.rpartition("/")[2] in (MANIFEST, "_index.json")
            ):
                self.notes.add(entry.name, "", "It is no file of NeuralFlow.")
        self.owner = _one_owner(found, owner)
        chosen = {}
        for name, entries in found[self.owner].items():
            if len(entries) > 1:
                twice = f"is in the archive twice, as {entries[1].name}, too; leave one of them out"
                raise InvalidImport([ImportFault(entries[0].name, "", twice)])
            if name in RECORD_COLLECTIONS:
                chosen[name] = entries[0]
            else:
                self.notes.add(entries[0].name, "", _NOT_TAKEN[name])
        return chosen

    # The first reading

    def _check_all(self) -> None:
        """Reads everything, what is not taken too: all of it must be whole."""
        listed = self._manifest()
        kinds = {entry.name: COLLECTIONS[name] for name, entry in self._documents.items()}
        for entry in self._archive.entries:
            read = _Digested(self._archive.chunks(entry))
            if entry.name in kinds:
                self._check_document(entry.name, kinds[entry.name], read)
            for _ in read:
                pass  # what came after a fault
            told = listed.get(entry.name)
            if told is not None and told != read.digest:
                self._fault(
                    entry.name,
                    "",
                    "is not what the manifest says. If you changed it, leave out the manifest.",
                )

    def _check_document(self, file: str, spec: CollectionSpec, chunks: Iterator[bytes]) -> None:
        try:
            for piece in pieces(chunks, spec.layout.records):
                if piece.position is not None:
                    self._check_record(file, spec, piece)
                elif piece.name not in KEPT_BY_STORE:
                    self._check_head(file, piece)
                if len(self._faults) >= FAULTS_MAX:
                    return
        except MalformedDocument as fault:
            self._faults.append(ImportFault(file, "", fault.reason, fault.line))

    def _check_record(self, file: str, spec: CollectionSpec, piece: Piece) -> None:
        self._count += 1
        if self._count > RECORDS_MAX:
            raise ArchiveTooLarge(f"the files in it hold more than {RECORDS_MAX} records")
        pointer = f"/{piece.name}/{piece.position}"
        if not isinstance(piece.value, dict):
            self._fault(file, pointer, "must be an object")
            return
        for fault in self._judge(spec, _with_whole_id(piece.value)):
            self._fault(file, pointer + fault.pointer, fault.detail)

    def _check_head(self, file: str, piece: Piece) -> None:
        faults = Faults()
        if unfit := key_fault(piece.name):
            faults.add("", unfit)
        checked_copy(piece.value, pointer_to("", piece.name), faults)
        for fault in faults.found:
            self._fault(file, fault.pointer, fault.detail)

    def _fault(self, file: str, pointer: str, detail: str) -> None:
        if len(self._faults) < FAULTS_MAX:
            self._faults.append(ImportFault(file, pointer, detail))

    def _manifest(self) -> Mapping[str, str]:
        """The digests that the archive's own manifest lists; none where there is none."""
        entry = next((one for one in self._archive.entries if one.name == MANIFEST), None)
        if entry is None:
            return {}
        if entry.size > _MANIFEST_BYTES_MAX:
            raise ArchiveTooLarge(f"the manifest has {entry.size} bytes")
        text = b"".join(self._archive.chunks(entry))
        try:
            manifest = json.loads(text)
            if manifest["format"] != FORMAT:
                raise InvalidImport(
                    [
                        ImportFault(
                            MANIFEST, "/format", f"must be {FORMAT}: it is of another release"
                        )
                    ]
                )
            listed = {name: str(told["sha256"]) for name, told in manifest["files"].items()}
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as fault:
            if isinstance(fault, InvalidImport):
                raise
            raise MalformedArchive("the manifest in it does not read as one") from None
        missing = listed.keys() - {one.name for one in self._archive.entries}
        for name in sorted(missing):
            self._fault(name, "", "is in the manifest, but not in the archive")
        return listed


class _Digested(Iterator[bytes]):
    """Chunks, and the SHA-256 of those that came."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._hash = chunks, hashlib.sha256()

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        self._hash.update(chunk)
        return chunk

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def _with_whole_id(record: Record) -> Record:
    """Return a record whose id is an integer, as other writers of JSON put 5.0 for 5."""
    return record | {"id": whole_number(record["id"])} if "id" in record else record


def _one_owner(found: Mapping[int, object], wanted: int | None) -> int:
    if wanted is not None and wanted in found:
        return wanted
    ids = ", ".join(map(str, sorted(found)[:20]))
    if not found:
        problem = "holds no file of NeuralFlow, such as tasks/tasks_7.json"
    elif wanted is not None:
        problem = f"holds nothing of owner {wanted}; it holds files of {ids}"
    elif len(found) > 1:
        problem = f"holds files of several people; choose one by owner=: {ids}"
    else:
        return next(iter(found))
    raise InvalidImport([ImportFault("the archive", "", problem)])
