"""Apply the records of an archive to a user's documents within a transaction.

**Matching.** An archive record matches the local record with the same id and `created_at`.
Otherwise it matches a local record with equal content except for id, references and members, as an
earlier import leaves it. Mode "merge" retains the record with the later `updated_at` of each match.
It adds unmatched records, under their own id if that was never assigned here, otherwise under a new
one. Mode "replace" makes the records those of the archive, under their ids, whichever is newer. A
collection without a file in the archive is left alone. Both modes retain the timestamps of the
archive and remap references.

**Never imported**: the account and its document, activities (they describe events elsewhere) and
permissions of other users. Member entries of a project become notes without permissions. Entries
that the local project already has remain as long as the project does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final, Literal, NamedTuple

import msgspec

from docstore import Key, RecordList, RecordTooLarge, Transaction, id_of
from workspace.archive.package import KEPT_BY_STORE, Incoming, Judge, Notes, Package
from workspace.bounds import RECORD_BYTES_MAX
from workspace.documents import key_of
from workspace.json_values import ErrorList, FieldError, pointer_to, same_value
from workspace.member_entries import MEMBERS, entries_of, is_managed
from workspace.references import references_of
from workspace.schema.collections import COLLECTIONS, RECORD_COLLECTIONS, CollectionSpec, Record
from workspace.schema.fields import Kind
from workspace.schema.validation import InvalidRecord, changed_record
from workspace.timestamps import normalize_time, parse_or_none
from workspace.users.document import require_document

Mode = Literal["merge", "replace"]

# Higher ids are renumbered. Otherwise one archive could exhaust the id space of the collection.
ID_KEPT_MAX: Final = 2**31 - 1
_STAMPS: Final = ("created_at", "updated_at", "completed_at")


@dataclass
class ImportCounts:
    """Counts for one collection. `renumbered` maps archive ids to local ids."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    skipped: int = 0
    renumbered: dict[int, int] = field(default_factory=dict)


@dataclass
class ImportReport:
    """The result of an import or of a dry run. `notes` explain skipped and repaired records."""

    mode: Mode
    owner: int  # of the files in the archive
    collections: dict[str, ImportCounts] = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)

    def told(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "mode": self.mode,
            "owner": self.owner,
            "collections": {
                name: asdict(tally)
                | {"renumbered": {str(old): new for old, new in tally.renumbered.items()}}
                for name, tally in self.collections.items()
            },
            "notes": [
                {"file": note.file, "pointer": note.pointer, "detail": note.detail}
                for note in self.notes.told
            ],
            "further_notes": self.notes.more,
        }


def imported_record(
    spec: CollectionSpec, data: Record, before: Record | None, *, owner: int, now: datetime
) -> Record:
    """Return the archive record `data` as it will be stored, except for its id and references.

    Values equal to those of `before`, the matching local record, are not validated. A null text, as
    old files have it, counts as absent. Raises `InvalidRecord`.
    """
    faults = ErrorList()
    values = {name: value for name, value in data.items() if not _is_absent(spec, name, value)}
    for name in spec.by_name:
        if spec.by_name[name].kind is Kind.MEMBERS and isinstance(values.get(name), list):
            values[name] = _members(values[name], (before or {}).get(name))
    stamps = {name: _stamp(spec, name, data, faults) for name in _STAMPS if name in spec.by_name}
    retained = {name: value for name, value in (before or {}).items() if name in values}
    try:
        record = changed_record(spec, retained, values, now=now, replace=True)
    except InvalidRecord as fault:
        raise InvalidRecord([*fault.errors, *faults.found]) from None
    if faults.found:
        raise InvalidRecord(faults.found)
    if record.get("status") != "completed" and "completed_at" in stamps:
        stamps["completed_at"] = None
    stamps["updated_at"] = stamps["updated_at"] or stamps["created_at"] or record["updated_at"]
    stored = spec.ordered(record | stamps | {"id": 0, "user_id": owner})
    if (size := len(msgspec.json.encode(stored))) > RECORD_BYTES_MAX:
        raise InvalidRecord([FieldError("", str(RecordTooLarge(size, RECORD_BYTES_MAX)))])
    return stored


def _is_absent(spec: CollectionSpec, name: str, value: object) -> bool:
    known = spec.by_name.get(name)
    return known is not None and value is None and not (known.nullable or known.required)


def _stamp(spec: CollectionSpec, name: str, data: Record, faults: ErrorList) -> str | None:
    value, known = data.get(name), spec.by_name[name]
    if not known.has_shape(value):
        faults.add(pointer_to("", name), known.must_be)
        return None
    return None if value is None else normalize_time(value)


def _members(told: Sequence[object], here: object) -> list[object]:
    """Return the members for an imported project, whose member entries are those it has here."""
    stay = [entry for entry in here if is_managed(entry)] if isinstance(here, list) else []
    members: list[object] = []
    for entry in told:
        if isinstance(entry, dict) and is_managed(entry):
            person = entry.get("user_id")
            known = [
                member for member in stay if type(person) is int and member.get("user_id") == person
            ]
            note = {name: value for name, value in entry.items() if name != "status"}
            members += known or [note]
            stay = [member for member in stay if member not in known]
        else:
            members.append(entry)
    return members + stay


def judge(records: Mapping[str, RecordList], owner: int, now: datetime) -> Judge:
    """Return a function that lists the faults of an archive record, given the local records."""

    def judged(spec: CollectionSpec, data: Record) -> Sequence[FieldError]:
        try:
            before = _same(records[spec.name], data, parse_or_none(data.get("created_at")))
            imported_record(spec, data, before, owner=owner, now=now)
        except InvalidRecord as fault:
            return fault.errors
        return ()

    return judged


class _Judged(NamedTuple):
    """An archive record in its stored form, and the matching local record."""

    record: Record
    before: Record | None
    made: datetime | None


class PreparedImport:
    """The records of a package, prepared outside any transaction. `apply_to` needs one.

    Raises `InvalidRecord` if a local record changed since the package was validated in a way that
    makes an archive record invalid.
    """

    def __init__(
        self, package: Package, here: Mapping[str, RecordList], owner: int, now: datetime
    ) -> None:
        self.owner, self.came_from, self.notes = owner, package.owner, package.notes
        self.incoming = package.records()
        self._judged = {
            name: [self._judge(name, data, here[name], now) for data in incoming.records]
            for name, incoming in self.incoming.items()
        }

    def _judge(self, name: str, data: Record, here: RecordList, now: datetime) -> _Judged:
        made = parse_or_none(data.get("created_at"))
        before = _same(here, data, made)
        record = imported_record(COLLECTIONS[name], data, before, owner=self.owner, now=now)
        return _Judged(record | {"id": id_of(data)}, before, made)

    def records(self, name: str, here: RecordList, now: datetime) -> list[Record]:
        """Return the records in their stored form, still with their archive ids."""
        records = []
        for position, judged in enumerate(self._judged[name]):
            data = self.incoming[name].records[position]
            if _same(here, data, judged.made) is not judged.before:  # changed since preparation
                judged = self._judge(name, data, here, now)
            records.append(dict(judged.record))
        return records

    def apply_to(self, transaction: Transaction, mode: Mode) -> ImportReport:
        """Merge or replace the owner's records, and return a report of the changes."""
        report = ImportReport(mode, self.came_from)
        report.notes.told += self.notes.told
        report.notes.more = self.notes.more
        taking = _TakingIn(transaction, self, report)
        # Referenced collections first: the others need their renumbered ids.
        for name in sorted(self.incoming, key=lambda one: any(references_of(one))):
            taking.take(name)
        taking.let_go()
        return report


class _TakingIn:
    """The state of `PreparedImport.apply_to` while it applies one collection after the other."""

    def __init__(
        self, transaction: Transaction, arrival: PreparedImport, report: ImportReport
    ) -> None:
        self._transaction, self._arrival, self._report = transaction, arrival, report
        self._owner = arrival.owner
        self._ids: dict[str, dict[int, int]] = {}  # by collection: archive id to local id
        self._removed: dict[str, set[int]] = {}

    @property
    def _replaces(self) -> bool:
        return self._report.mode == "replace"

    def take(self, name: str) -> None:
        """Apply one collection."""
        incoming = self._arrival.incoming[name]
        key, spec = key_of(name, self._owner), COLLECTIONS[name]
        require_document(self._transaction, key)
        stored, tally = self._transaction.records(key), ImportCounts()
        self._report.collections[name] = tally
        first_new = self._first_new_id(key, incoming)
        records = self._arrival.records(name, stored, self._transaction.now)
        formed = partial(self._formed, spec)
        places = _ArchivePositions(records, stored, first_new, formed, keep_all=self._replaces)
        self._ids[name] = places.by_archive_id()
        tally.renumbered = {old: new for old, new in self._ids[name].items() if old != new}
        for position, record in enumerate(records):
            place = _ArchivePosition(incoming.file, f"/{spec.layout.records}/{position}")
            before = places.same.get(position)
            record["id"] = places.ids[position]
            _take_last_change(record, before, incoming.records[position])
            self._mend(spec, record, before, place)
            self._put(key, record, before, tally, place)
        if self._replaces:
            self._remove_others(key, stored, set(places.ids), tally)
        self._take_head(key, incoming, first_new)

    def _first_new_id(self, key: Key, incoming: Incoming) -> int:
        """Return an id never assigned here nor, in mode "replace", by the archive's store."""
        last = incoming.head.get("last_id")
        there = last if type(last) is int and 0 < last <= ID_KEPT_MAX else 0
        first = self._transaction.new_id(key)
        return max(first, there + 1) if self._replaces else first

    def _put(
        self,
        key: Key,
        record: Record,
        before: Record | None,
        tally: ImportCounts,
        place: _ArchivePosition,
    ) -> None:
        if before is None:
            tally.added += 1
            if self._transaction.records(key).find(record["id"]):  # a different record has this id
                self._remove(key, record["id"], tally)
        elif self._says_the_same(key, before, record):
            tally.unchanged += 1
            return
        elif not self._replaces and not _is_newer(record, before):
            tally.skipped += 1
            detail = f"The one here, {before['id']}, is as new or newer; it stays."
            self._report.notes.add(place.file, place.pointer, detail)
            return
        else:
            tally.changed += 1
        self._transaction.put(key, record)

    def _says_the_same(self, key: Key, before: Record, record: Record) -> bool:
        """Return True if the records are equal or differ only in form, as old files do."""
        if same_value(before, record):
            return True
        return same_value(self._formed(COLLECTIONS[key.collection], before), record)

    def _formed(self, spec: CollectionSpec, record: Record) -> Record:
        """Return a local record in today's form, or unchanged if it cannot have that."""
        now = self._transaction.now
        try:
            formed = imported_record(spec, dict(record), record, owner=self._owner, now=now)
        except InvalidRecord:
            return record
        return formed | {"id": record["id"]}

    def _remove_others(
        self, key: Key, here: RecordList, stay: set[int], tally: ImportCounts
    ) -> None:
        for record_id in [id_of(record) for record in here]:
            if record_id is not None and record_id not in stay:
                self._remove(key, record_id, tally)

    def _remove(self, key: Key, record_id: int, tally: ImportCounts) -> None:
        self._transaction.remove(key, record_id)
        self._removed.setdefault(key.collection, set()).add(record_id)
        tally.removed += 1

    def _take_head(self, key: Key, incoming: Incoming, first_new: int) -> None:
        """Set the owner's own head fields, and raise `last_id` above the archive store's ids."""
        stored = self._transaction.document(key) or {}
        own = {
            name: value
            for name, value in incoming.head.items()
            if name not in KEPT_BY_STORE and (self._replaces or name not in stored)
        }
        if first_new > self._transaction.new_id(key):
            own["last_id"] = first_new - 1
        self._transaction.set(key, own)

    # References

    def _mend(
        self, spec: CollectionSpec, record: Record, before: Record | None, place: _ArchivePosition
    ) -> None:
        """Remap references to local ids, and null those whose target is missing."""
        for name, target in references_of(spec.name):
            meant = record.get(name)
            if meant is None:
                continue
            target_id = self._found(target, meant, record)
            was_so = before is not None and before.get(name) == meant
            if target_id is None and was_so and target != "users":
                continue  # it was dangling before the import, too
            if target_id is None:
                detail = f"{meant} is not here; it becomes null."
                self._report.notes.add(place.file, f"{place.pointer}/{name}", detail)
            record[name] = target_id

    def _found(self, target: str, meant: int, record: Record) -> int | None:
        is_own = self._report.owner == self._owner
        if target == "users":
            if meant == self._report.owner:
                return self._owner
            return meant if is_own and meant in self._members_of(record) else None
        if target in self._arrival.incoming:
            return self._ids[target].get(meant)
        stored = self._transaction.records(key_of(target, self._owner))
        return meant if is_own and stored.find(meant) else None

    def _members_of(self, record: Record) -> list[int]:
        """Return the ids of the members of the local project that a record belongs to."""
        projects = self._transaction.records(key_of("projects", self._owner))
        return [
            person
            for project in projects.find(record.get("project_id") or 0)
            for person, entry in entries_of(project).items()
            if entry["status"] == "member"
        ]

    def let_go(self) -> None:
        """Null all references to the removed records."""
        for name, removed in self._removed.items():
            stored = self._transaction.records(key_of(name, self._owner))
            gone = {record_id for record_id in removed if not stored.find(record_id)}
            for other in RECORD_COLLECTIONS if gone else ():
                for reference, target in references_of(other):
                    if target == name:
                        self._clear(other, reference, gone)

    def _clear(self, collection: str, reference: str, gone: set[int]) -> None:
        key, spec = key_of(collection, self._owner), COLLECTIONS[collection]
        people = [name for name, target in references_of(collection) if target == "users"]
        for record in self._transaction.records(key):
            if id_of(record) and record.get(reference) in gone:
                nothing = {name: None for name in people if record.get(name) != self._owner}
                nothing |= {reference: None}
                changed = changed_record(spec, record, nothing, now=self._transaction.now)
                if collection in self._arrival.incoming:  # times are those of the archive
                    changed["updated_at"] = record["updated_at"]
                self._transaction.put(key, changed)


class _ArchivePosition(NamedTuple):
    """The position of a record in the archive, for notes."""

    file: str
    pointer: str


class _ArchivePositions:
    """The assignment of archive records to local records and ids.

    The records still have their archive ids. With `keep_all` these ids are retained. Otherwise an
    id that a local record may once have had is replaced by a new one.
    """

    def __init__(
        self,
        records: Sequence[Record],
        here: RecordList,
        first_new: int,
        formed: Callable[[Record], Record],
        *,
        keep_all: bool,
    ) -> None:
        self._archive_ids = [record["id"] for record in records]
        self.same: dict[int, Record] = {}  # by position in the archive
        self._given: dict[int, int] = {}  # the id here, by position
        self._taken: set[int] = set()
        for position, record in enumerate(records):
            same = _same(here, record, parse_or_none(record.get("created_at")))
            if same is not None and same["id"] not in self._taken:
                self._give(position, same["id"], same)
        if len(self._given) < len(records):
            self._find_alike(records, here, formed, same_id=keep_all)
        for position, wanted in enumerate(self._archive_ids):
            free = keep_all or (wanted or 0) >= first_new
            if wanted and free and wanted <= ID_KEPT_MAX and wanted not in self._taken:
                self._give(position, wanted)
        new = max(first_new, max(self._taken, default=0) + 1)
        self.ids: list[int] = []
        for position in range(len(records)):
            self.ids.append(self._given.get(position, new))
            new += position not in self._given

    def _give(self, position: int, record_id: int, same: Record | None = None) -> None:
        if position in self._given:
            return
        self._given[position] = record_id
        self._taken.add(record_id)
        if same is not None:
            self.same[position] = same

    def _find_alike(
        self,
        records: Sequence[Record],
        here: RecordList,
        formed: Callable[[Record], Record],
        *,
        same_id: bool,
    ) -> None:
        """Match records by content, such as those that an earlier import added under another id."""
        alike: dict[bytes, list[Record]] = {}
        for record in here:
            record_id = id_of(record)
            if record_id and record_id not in self._taken and len(here.find(record_id)) == 1:
                alike.setdefault(_likeness(formed(record)), []).append(record)
        own = self._own_ids() if same_id else {}
        others = set(own.values())
        for position, record in enumerate(records if alike else ()):
            candidates = alike.get(_likeness(record), []) if position not in self._given else []
            for candidate in candidates:
                wanted, record_id = own.get(position), candidate["id"]
                if not same_id or record_id == wanted or (not wanted and record_id not in others):
                    candidates.remove(candidate)
                    self._give(position, record_id, candidate)
                    break

    def _own_ids(self) -> dict[int, int]:
        """Return the ids of the archive that are retained when replacing, by position.

        A record without an id, with an earlier record's or with one that is too high has none.
        """
        own: dict[int, int] = {}
        taken = set(self._taken)
        for position, wanted in enumerate(self._archive_ids):
            if wanted and wanted <= ID_KEPT_MAX and wanted not in taken:
                own[position] = wanted
                taken.add(wanted)
        return own

    def by_archive_id(self) -> dict[int, int]:
        """Return local ids by archive id. The first record wins if an archive id occurs twice."""
        ids: dict[int, int] = {}
        for position, archive_id in enumerate(self._archive_ids):
            if archive_id is not None:
                ids.setdefault(archive_id, self.ids[position])
        return ids


def _same(here: RecordList, record: Record, made: datetime | None) -> Record | None:
    """Return the local record with the same id and `created_at`, or None."""
    record_id = id_of(record)
    matches = here.find(record_id) if record_id and made else ()
    is_same = len(matches) == 1 and parse_or_none(matches[0].get("created_at")) == made
    return matches[0] if is_same else None


def _take_last_change(record: Record, before: Record | None, data: Record) -> None:
    """Retain the local `updated_at` of a record if the archive has no timestamps for it.

    Otherwise repeated imports of the same file would make the record newer each time.
    """
    is_dated = any(data.get(name) is not None for name in ("created_at", "updated_at"))
    changed = before.get("updated_at") if before is not None and not is_dated else None
    if parse_or_none(changed):
        record["updated_at"] = normalize_time(changed)


def _is_newer(record: Record, before: Record) -> bool:
    changed, changed_before = (
        parse_or_none(version.get("updated_at")) for version in (record, before)
    )
    return changed is not None and (changed_before is None or changed > changed_before)


def _likeness(record: Record) -> bytes:
    """Return a digest of a record's content, to match records by it.

    Excluded are its id, owner, references and `updated_at`, and the status of member entries.
    """
    content = {name: value for name, value in record.items() if name not in _PLACE}
    if isinstance(content.get(MEMBERS), list):
        content[MEMBERS] = [
            {name: value for name, value in entry.items() if name != "status"}
            if is_managed(entry)
            else entry
            for entry in content[MEMBERS]
        ]
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).digest()


_PLACE: Final = {"id", "user_id", "updated_at"} | {
    name for collection in RECORD_COLLECTIONS for name, _ in references_of(collection)
}
