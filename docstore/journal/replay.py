"""Replay: apply the edits of a change to the document before it.

The journal stores edits and not documents. Replaying them makes what the transaction made, with the
same order of keys. So the files that two processes write, or one before and after a crash, are the
same byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable

from docstore.backend import ABSENT, Edit
from docstore.document import REVISION, UPDATED_AT, CollectionLayout, Document, Json
from docstore.record_list import RecordList


def replay(
    document: Document | None,
    edits: Iterable[Edit],
    at_text: str,
    revision: int,
    layout: CollectionLayout,
) -> Document | None:
    """Return the document after the edits; None if they delete it.

    `at_text` is the time of the commit, and `revision` the document's revision after it. Raises
    `ValueError` if the edits do not fit the document: they were made to another state.
    """
    content = dict(document.content) if document else None
    try:
        for edit in edits:
            content = _edited(content, edit, layout.records)
    except LookupError as misfit:
        raise ValueError(f"an edit does not fit the document: {misfit!r}") from misfit
    if content is None:
        return None
    content[UPDATED_AT] = at_text
    content[REVISION] = revision
    return Document(content)


def _edited(content: dict[str, Json] | None, edit: Edit, records: str) -> dict[str, Json] | None:
    path, after = edit.path, edit.after
    if not path:
        if after is ABSENT:
            return None
        return {name: _held(name, value, records) for name, value in after.items()}
    if content is None:
        raise LookupError("there is no document")
    name = str(path[0])
    if len(path) == 2 and name == records:
        content[name] = _edited_list(RecordList.of(content.get(name)), edit)
    elif len(path) > 1:
        raise LookupError(path)
    elif after is ABSENT:
        del content[name]
    else:
        content[name] = _held(name, after, records)
    return content


def _held(name: str, value: Json, records: str) -> Json:
    return RecordList(value) if name == records and isinstance(value, list) else value


def _edited_list(items: RecordList, edit: Edit) -> RecordList:
    """Return the list with one item added, replaced or removed; `path[1]` is the id of a record.

    If items are removed and `path[1]` is negative, that many are removed from the beginning.
    """
    if edit.before is ABSENT:
        return items.append(edit.after)
    if edit.after is ABSENT:
        number = int(edit.path[1])
        if number >= 0:
            return items.remove(number)
        if len(items) < -number:
            raise LookupError(f"there are fewer than {-number} items")
        return items.without_first(-number)
    return items.replace(edit.after)
