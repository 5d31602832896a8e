"""Encode and decode entries: commits as the JSON payload of journal frames.

    {"at": "2026-11-23T12:04:05.123456Z", "actor": "7", "request": "01J…",
     "changes": [{"collection": "tasks", "owner": 7, "revision": 12,
                  "edits": [{"path": ["tasks", 3], "before": {…}, "after": {…}}]}]}

`revision` is the document's revision after the change. An edit without `before` adds its value, and
one without `after` removes it. An empty path stands for the whole document; then it is the only
edit, and the change has `"reset": true`. `"base": true` means that the change applies to the
document's file at that time, which a person had edited, and not to the state after earlier entries.

A commit that merged a file has `"merged": {"file": [inode, size, time], "digest": …, "revision": 9,
"edits": […], "given": [{"item": {…}, "id": 75}], "buffer": …}`: the file, the revision in it, the
edits from that state of the document to the file, the ids that were assigned to its records, and
the digest of the first save of the same editor's buffer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from docstore.backend import ABSENT, Change, Commit, Edit, Entry, EntryChange, FileMerged, Given
from docstore.codec import to_json
from docstore.document import CollectionLayout, Document, Json, Key
from docstore.editor_buffers import PastChange
from docstore.journal.replay import replay
from docstore.record_list import RecordList
from docstore.timestamps import format_utc


class _Given(msgspec.Struct):
    item: Json
    id: int
    written: int = 0


class _Merged(msgspec.Struct):
    file: tuple[int, int, int] | None
    digest: str
    revision: int
    edits: msgspec.Raw
    given: list[_Given]
    buffer: str = ""


class _Change(msgspec.Struct):
    collection: str
    owner: int
    revision: int
    edits: msgspec.Raw
    base: bool = False
    reset: bool = False
    merged: _Merged | None = None


class _Entry(msgspec.Struct):
    at: str
    changes: list[_Change]
    actor: str = ""
    request: str = ""


_decode: Final = msgspec.json.Decoder(_Entry).decode


class DocumentDelta(NamedTuple):
    """The change of one document in an entry. `edits` is JSON, decoded on use."""

    key: Key
    revision: int
    base: bool
    reset: bool
    at: str
    edits: bytes | msgspec.Raw
    merged: FileMerged | None = None

    def apply(self, document: Document | None, layout: CollectionLayout) -> Document | None:
        """Return the document after the change, from the document before it.

        Raises `ValueError` if the change was made to another state.
        """
        edits = edits_of(self.edits)
        if not self.reset:
            return replay(document, edits, self.at, self.revision, layout)
        after = edits[0].after
        return None if after is ABSENT else Document(_held(after, layout))

    def before(self) -> Mapping[str, Json] | None:
        """Return, for a reset, the content of the document before it; None if it did not exist."""
        content = edits_of(self.edits)[0].before
        return None if content is ABSENT else content


def encode_entry(commit: Commit, on_files: Collection[Key] = ()) -> bytes:
    """Return the payload of a commit.

    The changes of the documents in `on_files` are marked as based on their files.
    """
    entry: dict[str, Json] = {"at": format_utc(commit.at)}
    if commit.actor:
        entry["actor"] = commit.actor
    if commit.request_id:
        entry["request"] = commit.request_id
    entry["changes"] = [_change(change, change.key in on_files) for change in commit.changes]
    return to_json(entry)


def _change(change: Change, base: bool) -> dict[str, Json]:
    content: dict[str, Json] = {
        "collection": change.key.collection,
        "owner": change.key.owner,
        "revision": change.after.revision if change.after else 0,
    }
    reset = next((edit for edit in change.edits if not edit.path), None)
    if reset is not None or change.after is None:
        # The entry has the whole document if it is created or deleted, or its edits are unknown.
        before = reset.before if reset is not None else ABSENT
        after = change.after.content if change.after else ABSENT
        content |= {"reset": True, "edits": [_edit(Edit((), before, after))]}
    else:
        content["edits"] = [_edit(edit) for edit in change.edits]
        if base:
            content["base"] = True
    if change.merged is not None:
        content["merged"] = _merged(change.merged)
    return content


def _merged(merged: FileMerged) -> dict[str, Json]:
    return {
        "file": merged.token,
        "digest": merged.digest,
        "revision": merged.revision,
        "edits": [_edit(edit) for edit in merged.edits],
        "given": [item._asdict() for item in merged.given],
        "buffer": merged.buffer,
    }


def _file_merged(merged: _Merged | None) -> FileMerged | None:
    if merged is None:
        return None
    assigned = tuple(Given(item.item, item.id, item.written) for item in merged.given)
    edits = tuple(edits_of(merged.edits))
    return FileMerged(merged.file, merged.digest, merged.revision, edits, assigned, merged.buffer)


def _edit(edit: Edit) -> dict[str, Json]:
    content: dict[str, Json] = {"path": edit.path}
    if edit.before is not ABSENT:
        content["before"] = edit.before
    if edit.after is not ABSENT:
        content["after"] = edit.after
    return content


def decode_entry(payload: bytes) -> list[DocumentDelta]:
    """Return the changes in a commit's payload, one per document."""
    entry = _decode(payload)
    return [
        DocumentDelta(
            Key(change.collection, change.owner),
            change.revision,
            change.base,
            change.reset,
            entry.at,
            change.edits,
            _file_merged(change.merged),
        )
        for change in entry.changes
    ]


def past_changes(payload: bytes, key: Key) -> list[PastChange]:
    """Return the changes of one document in a commit's payload, for rewinding it.

    Their `edits` are None if the commit created or deleted the document.
    """
    changes = []
    for applied in decode_entry(payload):
        if applied.key == key:
            edits = edits_of(applied.edits)
            created_or_deleted = applied.reset and any(
                value is ABSENT for value in (edits[0].before, edits[0].after)
            )
            past = None if created_or_deleted else edits
            changes.append(PastChange(applied.revision, applied.at, past, applied.merged))
    return changes


def entry_of(sequence: int, payload: bytes, wanted: Callable[[Key], bool]) -> Entry | None:
    """Return a commit as an entry of the change feed; None if it changes no wanted document."""
    content = _decode(payload)
    changes = tuple(
        EntryChange(key, tuple(edits_of(change.edits)))
        for change in content.changes
        if wanted(key := Key(change.collection, change.owner))
    )
    if not changes:
        return None
    return Entry(sequence, content.at, content.actor, content.request, changes)


def edits_of(edits: bytes | msgspec.Raw) -> Sequence[Edit]:
    """Decode a list of edits."""
    return [
        Edit(tuple(edit["path"]), edit.get("before", ABSENT), edit.get("after", ABSENT))
        for edit in msgspec.json.decode(edits)
    ]


def decode_payload(payload: bytes) -> Mapping[str, Json]:
    """Decode a payload completely, as a mapping."""
    content: Mapping[str, Json] = msgspec.json.decode(payload)
    return content


def _held(content: Mapping[str, Json], layout: CollectionLayout) -> dict[str, Json]:
    """Return the content with its records as a `RecordList`."""
    result = dict(content)
    if isinstance(result.get(layout.records), list):
        result[layout.records] = RecordList(result[layout.records])
    return result
