"""Three-way merge of a file that a person edited: compare it with the state it was based on.

The file's `revision` names the state that the person started from, the *base*. The journal rebuilds
it from the current document, because every entry has the values before and after. A field counts as
changed by the person if the file differs from the base in it. Everything else stays as it is now,
whatever the file says: the person's copy may be hours old.

After a save, an editor's buffer still has the same `revision`, and a later save has it again. The
entry of a merge therefore records the file that was merged (`FileMerged`), and a later save of the
same buffer counts only where it differs from that file, too. `docstore/editor_buffers.py` decides
which saves come from the same buffer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from docstore.backend import ABSENT, Edit, Given
from docstore.document import LAST_ID, REVISION, UPDATED_AT, Document, Json, Key, Record
from docstore.record_list import RecordList, id_of

# The store sets these. A merge ignores a person's change of them.
MANAGED_FIELDS: Final = frozenset({REVISION, LAST_ID, UPDATED_AT})
# A hand-written id further above the last one counts as a typing error.
ID_JUMP_MAX: Final = 1_000_000


def is_same(one: Json, other: Json) -> bool:
    """Return whether two JSON values are equal; 1, 1.0 and true are three different values."""
    if one is ABSENT or other is ABSENT:
        return one is other
    return bool(one == other) and (
        type(one) is type(other) is str or comparable(one) == comparable(other)
    )


def is_same_document(one: Document, other: Document) -> bool:
    """Return whether two documents have the same content, however their files are written."""
    return one.content.keys() == other.content.keys() and all(
        is_same(value, other.content[name]) for name, value in one.content.items()
    )


def comparable(value: Json) -> bytes:
    """Encode a value such that equal values, and only these, give the same bytes."""
    return msgspec.json.encode(
        list(value) if isinstance(value, RecordList) else value, order="sorted"
    )


@dataclass
class State:
    """A document's content for comparison.

    `records` are by id. `items` are the list's entries without an id, and those that repeat the id
    of an earlier one. `ambiguous` are the ids that several records of the list have. `content` is
    the content that `of` was called with.
    """

    fields: dict[str, Json] = field(default_factory=dict)
    records: dict[int, Record] = field(default_factory=dict)
    items: list[Json] = field(default_factory=list)
    ambiguous: set[int] = field(default_factory=set)
    content: Mapping[str, Json] = field(default_factory=dict)

    @classmethod
    def of(cls, content: Mapping[str, Json], records_name: str) -> State:
        """Return the state of a document's content. The values are shared, never changed."""
        state = cls({name: value for name, value in content.items() if name != records_name})
        state.content = content
        for item in content.get(records_name) or ():
            record_id = id_of(item)
            if record_id is None:
                state.items.append(item)
            elif record_id in state.records:
                state.items.append(item)
                state.ambiguous.add(record_id)
            else:
                state.records[record_id] = item
        return state

    def copy(self) -> State:
        """Return a copy that can be rewound or edited independently, without `content`."""
        return State(dict(self.fields), dict(self.records), list(self.items), set(self.ambiguous))

    def apply(self, edit: Edit, records_name: str) -> None:
        """Apply an edit of a journal entry."""
        self._set(edit.path, edit.before, edit.after, records_name)

    def rewind(self, edit: Edit, records_name: str) -> None:
        """Apply the inverse of an edit."""
        self._set(edit.path, edit.after, edit.before, records_name)

    def _set(self, path: tuple[str | int, ...], old: Json, new: Json, records_name: str) -> None:
        if not path:
            other = State.of({} if new is ABSENT else new, records_name)
            self.fields, self.records = other.fields, other.records
            self.items, self.ambiguous = other.items, other.ambiguous
            return
        name = str(path[0])
        if name != records_name:
            _put(self.fields, name, new)
        elif len(path) == 1:
            other = State.of({name: [] if new is ABSENT else new}, name)
            self.records, self.items = other.records, other.items
            self.ambiguous = other.ambiguous
        elif isinstance(path[1], int) and path[1] < 0:  # items cut from the beginning
            for item in () if old is ABSENT else old:
                self._set((name, 0), item, ABSENT, records_name)
            for item in () if new is ABSENT else new:
                self._set((name, 0), ABSENT, item, records_name)
        elif (record_id := id_of(old if new is ABSENT else new)) is not None:
            _put(self.records, record_id, new)
        else:
            if old is not ABSENT:
                _remove_last(self.items, old)
            if new is not ABSENT:
                self.items.append(new)


def _put(values: dict, name: Json, value: Json) -> None:  # type: ignore[type-arg]
    if value is ABSENT:
        values.pop(name, None)
    else:
        values[name] = value


def _remove_last(items: list[Json], item: Json) -> None:
    for index in range(len(items) - 1, -1, -1):
        if is_same(items[index], item):
            del items[index]
            return


class EarlierSaves(NamedTuple):
    """The relation of a file to the earlier saves of the same revision.

    `buffer` identifies the editor's buffer that the file comes from. `previous` is the last save of
    that buffer, `given` the ids that its new records were assigned, and `older` those of the saves
    before it. `is_repeated` is true if nothing in the file is new; `remark` then says why that is
    reported, and is empty if it is not. `retained` counts the changes of other saves that are not
    in the file.
    """

    buffer: str = ""
    previous: State | None = None
    given: tuple[Given, ...] = ()
    older: tuple[Given, ...] = ()
    is_repeated: bool = False
    remark: str = ""
    retained: int = 0


class FileEdit(NamedTuple):
    """A file that a person changed, and the state that it was based on.

    `theirs` is None if the file was removed. `base` is None if it cannot be rebuilt; then `doubt`
    says why.
    """

    key: Key
    name: str
    token: tuple[int, int, int] | None
    digest: str
    revision: int
    theirs: State | None
    base: State | None
    doubt: str = ""
    earlier: EarlierSaves = EarlierSaves()
    remarks: tuple[str, ...] = ()  # about values that could not be read


class Addition(NamedTuple):
    """A record that the person added. `wanted` is the id they wrote, if it is free."""

    item: Json
    wanted: int | None


@dataclass
class Differences:
    """The changes that a person made, to be applied to the current document.

    `changed` has the new values by record and field, `fields` those of the document itself, with
    `ABSENT` for a removed field. `remarks` are sentences about changes that are not applied.
    `given` are the records of the file that an earlier save added. `retained` is that of
    `EarlierSaves`.
    """

    fields: dict[str, Json] = field(default_factory=dict)
    changed: dict[int, dict[str, Json]] = field(default_factory=dict)
    removed: list[int] = field(default_factory=list)
    added: list[Addition] = field(default_factory=list)
    items_added: list[Json] = field(default_factory=list)
    items_removed: list[Json] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)
    retained: int = 0


def differences(edit: FileEdit, ours: State, last_id: int, *, keep_items: bool) -> Differences:
    """Return the person's changes. With `keep_items`, entries without an id stay without one.

    `last_id` is the highest id that the document ever assigned.
    """
    assert edit.theirs is not None
    earlier = edit.earlier
    result = Differences(retained=earlier.retained)
    result.remarks.extend(edit.remarks)
    if earlier.is_repeated:
        result.given.extend(earlier.given)
        result.remarks.extend(filter(None, [earlier.remark]))
        return result
    comparison = _Comparison(edit, edit.theirs, ours, last_id, result)
    if edit.base is None:
        return comparison.additions_only(edit.doubt)
    comparison.compare(edit.base, earlier.previous, keep_items=keep_items)
    return result


class _Comparison:
    def __init__(
        self, edit: FileEdit, theirs: State, ours: State, last_id: int, found: Differences
    ) -> None:
        self.edit, self.theirs, self.ours = edit, theirs, ours
        self.last_id, self.found = last_id, found

    def compare(self, base: State, previous: State | None, *, keep_items: bool) -> None:
        self._compare_fields(base, previous)
        for record_id, record in self.theirs.records.items():
            if record_id in base.ambiguous or record_id in self.ours.ambiguous:
                self._compare_ambiguous(record_id, record, base)
            elif record_id in base.records:
                before = previous.records.get(record_id) if previous else None
                self._compare_record(record_id, record, base.records[record_id], before)
                if previous and before is None and record_id not in self.ours.records:
                    self.found.remarks.append(
                        f"{record_id} is in the file again; an earlier save removed it"
                    )
            elif previous and record_id in previous.records:
                self._compare_given(record_id, record, previous.records[record_id])
            else:
                self._add(record, record_id)
        for record_id, record in base.records.items():
            is_gone = record_id not in self.theirs.records and record_id not in base.ambiguous
            if is_gone and (previous is None or record_id in previous.records):
                self._remove(record_id, record, previous)
        for record_id in previous.records if previous else ():
            if record_id not in base.records and record_id not in self.theirs.records:
                self._keep_added(self._renumbered(record_id))
        self._compare_items(base, previous, keep_items=keep_items)

    def _keep_added(self, record_id: int) -> None:
        if record_id in self.ours.records:
            self.found.remarks.append(
                f"{record_id}, which an earlier save of this file added, was kept"
            )

    def _renumbered(self, written: int) -> int:
        """Return the id of a record that an earlier save added under an id that was not free."""
        return next(
            (entry.id for entry in self.edit.earlier.given if entry.written == written), written
        )

    def _compare_fields(self, base: State, previous: State | None) -> None:
        for name in names_of(self.theirs.fields, base.fields):
            if name in MANAGED_FIELDS:
                continue
            value, before = value_of(self.theirs.fields, name), value_of(base.fields, name)
            earlier = before if previous is None else value_of(previous.fields, name)
            if self._is_changed(value, before, earlier, f'"{name}"'):
                self.found.fields[name] = value

    def _is_changed(self, value: Json, before: Json, earlier: Json, what: str) -> bool:
        if is_same(value, earlier):
            return False
        if is_same(value, before):
            # The same editor reverts its change, or another editor shares a value with it by
            # chance and never changed this field. Applying it could undo the first one's save.
            self.found.remarks.append(
                f"{what} has the value again that it had in revision {self.edit.revision};"
                " the current value was kept"
            )
            return False
        return True

    def _compare_record(
        self, record_id: int, record: Record, base: Record, previous: Record | None
    ) -> None:
        changed: dict[str, Json] = {}
        for name in names_of(record, base):
            value, before = value_of(record, name), value_of(base, name)
            earlier = before if previous is None else value_of(previous, name)
            if self._is_changed(value, before, earlier, f'{record_id}: "{name}"'):
                changed[name] = value
        if not changed:
            return
        if record_id not in self.ours.records:
            self.found.remarks.append(
                f"{record_id} was deleted meanwhile; your changes to it were not applied"
            )
            return
        self.found.changed[record_id] = changed

    def _compare_ambiguous(self, record_id: int, record: Record, base: State) -> None:
        if not is_same(record, base.records.get(record_id, ABSENT)):
            self.found.remarks.append(f"several records have the id {record_id}; none was changed")

    def _compare_given(self, record_id: int, record: Record, previous: Record) -> None:
        """Compare a record that an earlier save of this buffer added, with the id it has now."""
        current = self._renumbered(record_id)
        self._compare_record(current, {**record, "id": current}, {**previous, "id": current}, None)

    def _add(self, record: Record, record_id: int) -> None:
        current = self.ours.records.get(record_id)
        if current is not None and is_same(current, record):
            return
        if current is None and self.last_id < record_id <= self.last_id + ID_JUMP_MAX:
            self.found.added.append(Addition(record, record_id))
            return
        reason = "is taken" if current is not None or record_id <= self.last_id else "is too large"
        self.found.remarks.append(f"the id {record_id} {reason}; the record was given the next one")
        self.found.added.append(Addition(record, None))

    def _remove(self, record_id: int, base: Record, previous: State | None) -> None:
        current = self.ours.records.get(record_id)
        if current is None:
            return
        # Changes of the person's own, saved before, are no changes of others.
        seen = base if previous is None else previous.records[record_id]
        if is_same(current, base) or is_same(*(_unstamped(record) for record in (current, seen))):
            self.found.removed.append(record_id)
        else:
            self.found.remarks.append(f"{record_id} was changed meanwhile, so it was not removed")

    def _compare_items(self, base: State, previous: State | None, *, keep_items: bool) -> None:
        """Compare the entries without an id. Equal entries match, and so does an entry with one
        that an earlier save of the buffer added, also if it was edited since."""
        earlier = self.edit.earlier
        added = without(self.theirs.items, base.items)
        pairs, added, gone = pair_items(added, earlier.given, base)
        again, added, _ = pair_items(added, earlier.older, base, equal_only=True)
        for item, entry in [*pairs, *again]:
            self.found.given.append(entry._replace(item=item))
            if not is_same(item, entry.item):
                before = {**entry.item, "id": entry.id}
                self._compare_record(entry.id, {**item, "id": entry.id}, before, None)
        for item in added:
            if keep_items and id_of(item) is None:
                self.found.items_added.append(item)
            else:
                if id_of(item) is not None:
                    self.found.remarks.append(
                        f"the id {id_of(item)} stands twice; the second record was given the next"
                    )
                self.found.added.append(Addition(item, None))
        for item in without(base.items, self.theirs.items):
            if any(is_same(item, current) for current in self.ours.items):
                self.found.items_removed.append(item)
        for entry in gone:
            if not entry.written or entry.written in base.records:
                self._keep_added(entry.id)
            elif entry.written in self.theirs.records:  # it is among the records, renumbered
                self.found.given.append(entry)

    def additions_only(self, doubt: str) -> Differences:
        """Return the added records, or a remark if the file differs from the document in more.

        Without a base, any other difference may be an older state, not an edit.
        """
        ours, theirs, result = self.ours, self.theirs, self.found
        same_fields = all(
            name in MANAGED_FIELDS
            or is_same(value_of(theirs.fields, name), value_of(ours.fields, name))
            for name in names_of(theirs.fields, ours.fields)
        )
        if (
            same_fields
            and not without(ours.items, theirs.items)
            and all(
                record_id in theirs.records and is_same(theirs.records[record_id], record)
                for record_id, record in ours.records.items()
            )
        ):
            for record_id, record in theirs.records.items():
                if record_id not in ours.records:
                    self._add(record, record_id)
            for item in without(theirs.items, ours.items):
                result.added.append(Addition(item, None))
            return result
        result.remarks.append(f"{doubt}, so nobody can tell what you changed; nothing was taken")
        return result


def changes_nothing(edit: FileEdit, records_name: str) -> bool:
    """Return whether the file has the same content as the state that it was based on."""
    base, theirs = edit.base, edit.theirs
    if base is None or theirs is None or edit.earlier.is_repeated or edit.remarks:
        return False
    is_same_list = not without(base.items, theirs.items) and not without(theirs.items, base.items)
    return is_same_list and not any(edits_between(base, theirs, records_name))


def edits_between(base: State, theirs: State, records_name: str) -> Iterator[Edit]:
    """Yield the edits that lead from the base to the file, without entries that have no id."""
    for name in names_of(theirs.fields, base.fields):
        before, after = value_of(base.fields, name), value_of(theirs.fields, name)
        if name not in MANAGED_FIELDS and not is_same(before, after):
            yield Edit((name,), before, after)
    for record_id in names_of(theirs.records, base.records):
        before, after = value_of(base.records, record_id), value_of(theirs.records, record_id)
        if not is_same(before, after):
            yield Edit((records_name, record_id), before, after)


def pair_items(
    items: Sequence[Json], given: Sequence[Given], base: State, *, equal_only: bool = False
) -> tuple[list[tuple[Json, Given]], list[Json], list[Given]]:
    """Pair entries of a file with those that an earlier save added, the equal ones first.

    Return the pairs, the unpaired entries of the file, and the unpaired earlier entries.
    """
    pairs: list[tuple[Json, Given]] = []
    unpaired_items, unpaired_given = list(items), list(given)
    rules = (_is_equal,) if equal_only else (_is_equal, _is_later_state)
    for is_pair in rules:
        remaining = []
        for item in unpaired_items:
            entry = next((entry for entry in unpaired_given if is_pair(item, entry, base)), None)
            if entry is None:
                remaining.append(item)
            else:
                pairs.append((item, entry))
                unpaired_given.remove(entry)
        unpaired_items = remaining
    return pairs, unpaired_items, unpaired_given


def _is_equal(item: Json, entry: Given, base: State) -> bool:
    return is_same(item, entry.item)


def _is_later_state(item: Json, entry: Given, base: State) -> bool:
    """Return whether an entry is a record that an earlier save added, with changes since.

    It is if they share a value, or its text continues the earlier text. Values that a record of
    the base has in the same field do not count: another editor's new record may well have the same
    status.
    """
    if not (isinstance(item, dict) and isinstance(entry.item, dict) and entry.id):
        return False
    if (id_of(item) or 0) != entry.written:
        return False
    return bool(entry.written) or any(
        _is_typed_on(value, item.get(name, ABSENT)) and is_fresh(base, name, value)
        for name, value in entry.item.items()
    )


def _is_typed_on(value: Json, later: Json) -> bool:
    is_longer = isinstance(value, str) and value and isinstance(later, str)
    return is_same(value, later) or bool(is_longer and later.startswith(value))


def is_fresh(base: State, name: str, value: Json) -> bool:
    """Return whether no record of the base has this value in this field."""
    records = [*base.records.values(), *base.items]
    return not any(
        isinstance(record, dict) and is_same(record.get(name, ABSENT), value) for record in records
    )


def _unstamped(record: Record) -> Record:
    return {name: value for name, value in record.items() if name != UPDATED_AT}


def names_of(one: Mapping[Json, Json], other: Mapping[Json, Json]) -> list[Json]:
    return list(one | other) if isinstance(one, dict) and isinstance(other, dict) else []


def value_of(values: Mapping[Json, Json], name: Json) -> Json:
    return values.get(name, ABSENT)


def without(items: Sequence[Json], others: Sequence[Json]) -> list[Json]:
    """Return the multiset difference: each of the others cancels one equal item, the first."""
    counts: dict[bytes, int] = {}
    for item in others:
        key = comparable(item)
        counts[key] = counts.get(key, 0) + 1
    remaining = []
    for item in items:
        key = comparable(item)
        if counts.get(key, 0):
            counts[key] -= 1
        else:
            remaining.append(item)
    return remaining
