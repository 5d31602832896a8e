"""Validate the files of one user in an archive before anything is imported.

The archive may be an export, a backup, or a zipped NeuralFlow folder, of any age and owner. It is
read twice. The first pass validates every file and retains only the faults, so a refused archive
takes little memory. The second pass returns the records.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final, NamedTuple

from workspace.archive.exporter import FORMAT, MANIFEST
from workspace.archive.json_stream import MalformedDocument, StreamItem, iter_items
from workspace.archive.zip_reader import (
    MIB,
    Archive,
    ArchiveEntry,
    ArchiveLimits,
    ArchiveTooLarge,
    MalformedArchive,
)
from workspace.json_values import (
    FAULTS_MAX,
    ErrorList,
    FieldError,
    checked_copy,
    key_error,
    pointer_to,
    whole_number,
)
from workspace.schema.collections import COLLECTIONS, RECORD_COLLECTIONS, CollectionSpec, Record

RECORDS_MAX: Final = 100_000  # all other writers wait while an import is applied
_MANIFEST_BYTES_MAX: Final = MIB
KEPT_BY_STORE: Final = {"revision", "last_id", "updated_at"}  # head fields that the store sets

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
    """A fault in a file of an archive. `line` is 0 if `pointer` gives the position."""

    file: str
    pointer: str
    detail: str
    line: int = 0


class InvalidImport(ValueError):
    """The archive cannot be imported. `faults` lists the reasons, at most 100."""

    def __init__(self, faults: Sequence[ImportFault]) -> None:
        self.faults = tuple(faults)
        super().__init__(
            "; ".join(f"{fault.file}{fault.pointer} {fault.detail}" for fault in self.faults)
        )


@dataclass
class Notes:
    """Remarks on an import: the first 100 in `told`, the number of further ones in `more`."""

    told: list[ImportFault] = field(default_factory=list)
    more: int = 0

    def add(self, file: str, pointer: str, detail: str) -> None:
        if len(self.told) < FAULTS_MAX:
            self.told.append(ImportFault(file, pointer, detail))
        else:
            self.more += 1


@dataclass
class Incoming:
    """The records of one file of the archive, with integer ids, and its head fields."""

    file: str
    records: list[Record] = field(default_factory=list)
    head: Record = field(default_factory=dict)


# Returns the faults of a record of a collection. Raises nothing.
Judge = Callable[[CollectionSpec, Record], Sequence[FieldError]]


class Package:
    """The validated files of one user in an archive. Raises `ArchiveFault` and `InvalidImport`.

    `owner` chooses the user if the archive holds files of several.
    """

    def __init__(
        self,
        file: BinaryIO,
        judge: Judge,
        *,
        owner: int | None = None,
        limits: ArchiveLimits | None = None,
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
        """Return the records to import, by collection."""
        records = {}
        for name, entry in self._documents.items():
            incoming = records[name] = Incoming(entry.name)
            for piece in iter_items(self._archive.chunks(entry), COLLECTIONS[name].layout.records):
                if piece.position is not None:
                    incoming.records.append(_with_whole_id(piece.value))
                else:
                    incoming.head[piece.name] = whole_number(piece.value)
        return records

    # Choosing files

    def _chosen(self, owner: int | None) -> dict[str, ArchiveEntry]:
        """Return the entries of the owner's record collections, and note all that is skipped."""
        candidates: dict[int, dict[str, list[ArchiveEntry]]] = {}
        for entry in self._archive.entries:
            if match := _NAME.fullmatch(entry.name):
                of_owner = candidates.setdefault(int(match["owner"]), {})
                of_owner.setdefault(_DOCUMENTS[match["kind"]], []).append(entry)
            elif not (
                entry.is_folder or entry.name.rpartition("/")[2] in (MANIFEST, "_index.json")
            ):
                self.notes.add(entry.name, "", "It is no file of NeuralFlow.")
        self.owner = _one_owner(candidates, owner)
        chosen = {}
        for name, entries in candidates[self.owner].items():
            if len(entries) > 1:
                twice = f"is in the archive twice, as {entries[1].name}, too; leave one of them out"
                raise InvalidImport([ImportFault(entries[0].name, "", twice)])
            if name in RECORD_COLLECTIONS:
                chosen[name] = entries[0]
            else:
                self.notes.add(entries[0].name, "", _NOT_TAKEN[name])
        return chosen

    # First pass: validation

    def _check_all(self) -> None:
        """Read every entry to its end, even those that are not imported, to verify checksums."""
        listed = self._manifest()
        kinds = {entry.name: COLLECTIONS[name] for name, entry in self._documents.items()}
        for entry in self._archive.entries:
            read = _Digested(self._archive.chunks(entry))
            if entry.name in kinds:
                self._check_document(entry.name, kinds[entry.name], read)
            for _ in read:
                pass  # drain the rest, so that the digest covers the entry after a fault
            expected = listed.get(entry.name)
            if expected is not None and expected != read.digest:
                self._fault(
                    entry.name,
                    "",
                    "is not what the manifest says. If you changed it, leave out the manifest.",
                )

    def _check_document(self, file: str, spec: CollectionSpec, chunks: Iterator[bytes]) -> None:
        try:
            for piece in iter_items(chunks, spec.layout.records):
                if piece.position is not None:
                    self._check_record(file, spec, piece)
                elif piece.name not in KEPT_BY_STORE:
                    self._check_head(file, piece)
                if len(self._faults) >= FAULTS_MAX:
                    return
        except MalformedDocument as fault:
            self._faults.append(ImportFault(file, "", fault.reason, fault.line))

    def _check_record(self, file: str, spec: CollectionSpec, piece: StreamItem) -> None:
        self._count += 1
        if self._count > RECORDS_MAX:
            raise ArchiveTooLarge(f"the files in it hold more than {RECORDS_MAX} records")
        pointer = f"/{piece.name}/{piece.position}"
        if not isinstance(piece.value, dict):
            self._fault(file, pointer, "must be an object")
            return
        for fault in self._judge(spec, _with_whole_id(piece.value)):
            self._fault(file, pointer + fault.pointer, fault.detail)

    def _check_head(self, file: str, piece: StreamItem) -> None:
        faults = ErrorList()
        if unfit := key_error(piece.name):
            faults.add("", unfit)
        checked_copy(piece.value, pointer_to("", piece.name), faults)
        for fault in faults.found:
            self._fault(file, fault.pointer, fault.detail)

    def _fault(self, file: str, pointer: str, detail: str) -> None:
        if len(self._faults) < FAULTS_MAX:
            self._faults.append(ImportFault(file, pointer, detail))

    def _manifest(self) -> Mapping[str, str]:
        """Return the SHA-256 of each file that the manifest lists, empty without a manifest."""
        entry = next((entry for entry in self._archive.entries if entry.name == MANIFEST), None)
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
            listed = {name: str(details["sha256"]) for name, details in manifest["files"].items()}
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as fault:
            if isinstance(fault, InvalidImport):
                raise
            raise MalformedArchive("the manifest in it does not read as one") from None
        missing = listed.keys() - {entry.name for entry in self._archive.entries}
        for name in sorted(missing):
            self._fault(name, "", "is in the manifest, but not in the archive")
        return listed


class _Digested(Iterator[bytes]):
    """An iterator over chunks that computes the SHA-256 of those consumed so far."""

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
    """Return the record with an integer id. Some JSON writers put 5.0 for 5."""
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
