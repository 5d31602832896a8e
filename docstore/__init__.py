"""docstore: an embedded store of JSON documents, each in a readable file.

    from docstore import CollectionLayout, Key, open_store

    notes = CollectionLayout(name="notes", stem="notes", records="notes")
    store = open_store("file:///tmp/example", [notes])

It depends on neither Django nor HTTP, and does not interpret records. Start reading in `backend.py`
(the port and its contract), then `store.py`. `backends/files.py` explains how files are made
durable.
"""

from docstore.backend import (
    ABSENT,
    Aside,
    Backend,
    Change,
    Commit,
    Copy,
    Edit,
    Entries,
    Entry,
    EntryChange,
    Finding,
    SharedNotes,
)
from docstore.backends.files.publisher import History
from docstore.backup import (
    check_snapshot,
    dead_drafts,
    read_from_snapshots,
    restore_snapshot,
    snapshot_findings,
    snapshots,
    take_snapshot,
)
from docstore.codec import decode, to_json
from docstore.disk.mount_checks import is_network, mount_type
from docstore.document import CollectionLayout, Document, Key
from docstore.errors import (
    Conflict,
    Corrupt,
    HistoryGone,
    InvalidValue,
    NotFound,
    OutOfSpace,
    RecordTooLarge,
    StoreError,
    TooLarge,
    TooMuchAtOnce,
    Unavailable,
)
from docstore.factory import copy_url, folder_of, has_folder, is_database, open_store
from docstore.observer import Observer
from docstore.record_list import COUNTED_ID_MAX, RecordList, id_of
from docstore.store import UNBOUNDED, Bounds, DocumentStore, Transaction
from docstore.store_copy import Copied
from docstore.store_export import Export
from docstore.timestamps import format_utc, utc_now
from docstore.verify import DocumentReport, examine, verify

__all__ = [
    "ABSENT",
    "COUNTED_ID_MAX",
    "UNBOUNDED",
    "Aside",
    "Backend",
    "Bounds",
    "Change",
    "CollectionLayout",
    "Commit",
    "Conflict",
    "Copied",
    "Copy",
    "Corrupt",
    "Document",
    "DocumentReport",
    "DocumentStore",
    "Edit",
    "Entries",
    "Entry",
    "EntryChange",
    "Export",
    "Finding",
    "History",
    "HistoryGone",
    "InvalidValue",
    "Key",
    "NotFound",
    "Observer",
    "OutOfSpace",
    "RecordList",
    "RecordTooLarge",
    "SharedNotes",
    "StoreError",
    "TooLarge",
    "TooMuchAtOnce",
    "Transaction",
    "Unavailable",
    "check_snapshot",
    "copy_url",
    "dead_drafts",
    "decode",
    "examine",
    "folder_of",
    "format_utc",
    "has_folder",
    "id_of",
    "is_database",
    "is_network",
    "mount_type",
    "open_store",
    "read_from_snapshots",
    "restore_snapshot",
    "snapshot_findings",
    "snapshots",
    "take_snapshot",
    "to_json",
    "utc_now",
    "verify",
]
