"""The objects that all parts of the files backend share."""

from __future__ import annotations

from dataclasses import dataclass

from docstore.backends.files.atomic_replace import FileSetReplace
from docstore.backends.files.document_cache import FileDocumentCache
from docstore.backends.files.folder import DataFolder
from docstore.backends.files.group_commit import WriterSession
from docstore.backends.files.interruptions import InterruptionRepair
from docstore.backends.files.publisher import Publisher
from docstore.journal.change_feed import ChangeFeed
from docstore.journal.log import Journal


@dataclass(frozen=True, slots=True)
class FolderParts:
    """The folder, its journal, the cache of its documents, and who writes them, made once."""

    folder: DataFolder
    journal: Journal
    feed: ChangeFeed
    cache: FileDocumentCache
    session: WriterSession
    publisher: Publisher
    replace: FileSetReplace
    repair: InterruptionRepair
