"""Rebuild a document from the journal's history alone, for a repair."""

from __future__ import annotations

from contextlib import suppress

from docstore.document import CollectionLayout, Document, Key
from docstore.journal.entries import DocumentDelta, decode_entry
from docstore.journal.frames import Kind
from docstore.journal.segments import SegmentFolder
from docstore.journal.trimming import is_missed


def rebuilt(segments: SegmentFolder, key: Key, layout: CollectionLayout) -> Document | None:
    """Return the document as of its last change, or None if the history does not lead to it.

    It does if it has the commit that created the document, and every change since. A restore, a
    change that was trimmed, a missing segment, and a change on top of a foreign file each break the
    chain, until a later commit has the whole document.
    """
    document: Document | None = None
    last = 0
    for number in segments.numbers():
        if last and number != last + 1:
            document = None
        with suppress(FileNotFoundError):  # retired meanwhile: the next number shows the gap
            for frame in segments.frames(number):
                last = frame.sequence
                if frame.kind == Kind.RESTORED or is_missed(frame, lambda known: known == key):
                    document = None
                elif frame.kind in (Kind.COMMIT, Kind.RELAXED):
                    for applied in decode_entry(frame.payload):
                        if applied.key == key:
                            document = _after(applied, document, layout)
    return document


def _after(
    applied: DocumentDelta, document: Document | None, layout: CollectionLayout
) -> Document | None:
    if not applied.reset and (
        document is None or applied.base or applied.revision != document.revision + 1
    ):
        return None
    try:
        return applied.apply(document, layout)
    except ValueError:
        return None
