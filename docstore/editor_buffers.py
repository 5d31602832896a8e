"""Recognize the saves of one editor's buffer, from the file's content alone.

All editors that opened a file at the same revision save files that name this revision. A later save
of the same buffer must be compared with the save before it, a save of another buffer with the base.
No file names its buffer. A file counts as a later state of a buffer if it still has a value that
an earlier save of this buffer brought into the document, and otherwise as a save of another buffer.
So a record that one editor added does not count as removed if the other's file does not have it.

One case is ambiguous: an editor that reverted all that it had saved, and changed something else,
looks like another buffer. The saved changes stay, and the merge reports their number. A file that
equals the base again is reported and set aside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from docstore.backend import ABSENT, Edit, FileMerged
from docstore.document import UPDATED_AT, Document, Json
from docstore.file_edits import (
    EarlierSaves,
    State,
    comparable,
    edits_between,
    is_fresh,
    is_same,
    names_of,
    pair_items,
    value_of,
    without,
)

# The path of a value: of a field, a record, or a field of a record.
_Place = tuple[str | int, ...]


class PastChange(NamedTuple):
    """A change of one document from the history, newest first. `edits` are None for a reset."""

    revision: int
    at: str
    edits: Sequence[Edit] | None
    merged: FileMerged | None


def find_base(
    ours: Document, theirs: Document, changes: Iterable[PastChange], records_name: str
) -> tuple[State | None, str, list[FileMerged]]:
    """Rebuild the state that a file was based on, from the current one and the past changes.

    Return the base, or None and the doubt, and the saves that were merged on it, newest first.
    """
    named, current = theirs.revision, ours.revision
    stamp = theirs.content.get(UPDATED_AT)
    state = State.of(ours.content, records_name)
    if named == current:
        return state, "", []
    if named > current:
        return None, f"it names revision {named}, which is yet to come", []
    merged: list[FileMerged] = []
    after, at = current, ours.content.get(UPDATED_AT)
    for change in changes:
        is_there = change.revision == named if named else stamp is not None and change.at == stamp
        if is_there and after == change.revision:
            at = change.at
            break
        if not named and not is_there and change.revision == 1 and change.edits is not None:
            # The state before the first counted change is the only one without a revision.
            _rewind(state, change, records_name)
            after, at = 0, stamp
            break
        if change.revision != after or change.edits is None:
            break
        if change.merged is not None:
            merged.append(change.merged)
        _rewind(state, change, records_name)
        after -= 1
        at = ""
    if named and after != named:
        return None, f"revision {named} is not in the history any more", []
    if not named and not (after == 0 or (stamp is not None and at == stamp)):
        return None, "it names no revision", []
    if named and at and stamp != at:
        return None, f'its "{UPDATED_AT}" is not that of revision {named}', []
    return state, "", [save for save in merged if save.revision == named]


def _rewind(state: State, change: PastChange, records_name: str) -> None:
    for edit in reversed(change.edits or ()):
        state.rewind(edit, records_name)


def earlier_saves(
    base: State, theirs: State, saves: Sequence[FileMerged], records_name: str, digest: str
) -> EarlierSaves:
    """Classify a file by the earlier saves on the same base. `saves` has the newest first."""
    if not saves:
        return EarlierSaves(digest)
    edits = list(edits_between(base, theirs, records_name))
    added = without(theirs.items, base.items)
    is_base = not (edits or added or without(base.items, theirs.items))
    repeated = next((index for index, save in enumerate(saves) if save.digest == digest), None)
    if is_base or repeated is not None:
        return _repeated(edits, saves, repeated, digest, is_base=is_base)
    marks = _marks(edits, base)
    most, previous = 0, None
    for save in _last_saves(saves):
        pairs, _, _ = pair_items(added, save.given, base)
        shared = len(marks & _marks(save.edits, base)) + len(pairs)
        if shared > most:
            most, previous = shared, save
    if previous is None:
        return EarlierSaves(digest, retained=sum(map(_size, _last_saves(saves))))
    state = base.copy()
    for edit in previous.edits:
        state.apply(edit, records_name)
    buffer = _buffer_of(previous)
    older = [save for save in saves if _buffer_of(save) == buffer and save is not previous]
    given = tuple(entry for save in older for entry in save.given)
    return EarlierSaves(buffer, state, previous.given, given)


def _repeated(
    edits: Sequence[Edit],
    saves: Sequence[FileMerged],
    repeated: int | None,
    digest: str,
    *,
    is_base: bool,
) -> EarlierSaves:
    """Classify a file that was merged before, or that equals the base again."""
    save = None if repeated is None else saves[repeated]
    buffer = _buffer_of(save) if save else digest
    result = EarlierSaves(buffer, given=save.given if save else (), is_repeated=True)
    later = [later for later in saves[:repeated] if _size(later)]
    if not later:
        return result
    if is_base:
        remark = f"it is again as revision {later[0].revision} was; what was saved since then stays"
        return result._replace(remark=remark)
    values = _by_place(edits)
    if any(
        _buffer_of(save) == buffer or _contradicts(values, _by_place(save.edits)) for save in later
    ):
        remark = "this version of the file was merged before; nothing was changed"
        return result._replace(remark=remark)
    return result._replace(retained=sum(map(_size, later)))


def _buffer_of(save: FileMerged) -> str:
    return save.buffer or save.digest


def _last_saves(saves: Sequence[FileMerged]) -> Iterator[FileMerged]:
    """Yield the last save of each buffer, the newest first."""
    seen: set[str] = set()
    for save in saves:
        if _buffer_of(save) not in seen:
            seen.add(_buffer_of(save))
            yield save


def _size(save: FileMerged) -> int:
    """Return how many changes a save made."""
    return len(save.edits) + len([entry for entry in save.given if not entry.written])


def _by_place(edits: Iterable[Edit]) -> dict[_Place, Json]:
    """Return the new values by path. A changed record has an entry for each changed field."""
    values: dict[_Place, Json] = {}
    for edit in edits:
        if len(edit.path) == 2 and isinstance(edit.before, dict) and isinstance(edit.after, dict):
            for name in names_of(edit.after, edit.before):
                value = value_of(edit.after, name)
                if not is_same(value, value_of(edit.before, name)):
                    values[*edit.path, name] = value
        else:
            values[edit.path] = edit.after
    return values


def _marks(edits: Iterable[Edit], base: State) -> set[bytes]:
    """Return the new values of a save with their paths, encoded for comparison."""
    marks = set()
    for place, value in _by_place(edits).items():
        if len(place) == 2 and isinstance(value, dict):  # a new record
            for name in value:
                if name != "id" and is_fresh(base, name, value[name]):
                    marks.add(comparable([*place, name, value[name]]))
        elif value is not ABSENT:
            marks.add(comparable([*place, value]))
    return marks


def _contradicts(values: dict[_Place, Json], others: dict[_Place, Json]) -> bool:
    """Return whether two saves changed the same place differently."""
    return (
        any(not is_same(value, others[place]) for place, value in values.items() if place in others)
        or any(place[:2] in others for place in values if len(place) == 3)
        or any(place[:2] in values for place in others if len(place) == 3)
    )
