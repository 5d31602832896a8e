"""Atomic replacement of many files, for restoring a backup.

    .neuralflow/drafts/             new contents on their way, and the intent

Steps: Every new content is written as a *draft* file, and contents and names are made durable. Then
the *intent* is written, the list of drafts and their targets. The replacement is committed when the
intent is durable. Then each draft gets a second name beside its target, and when all have one, that
name is renamed to the target. The folders are made durable, then the intent is removed, durably,
and last the drafts.

A power cut before the commit point leaves the files untouched, and the drafts are discarded. After
a power cut behind it, the next process to open the folder finds the intent and finishes. All drafts
are still there, since they outlive the intent. Finishing is idempotent and may be interrupted. (A
draft is linked and not only renamed: POSIX does not guarantee that a file renamed from one folder
to another survives a power cut under either name.)
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from docstore.disk.filesystem import FileSystem
from docstore.errors import from_os_error

# By name under the root: the draft that replaces the file; "" to remove the file.
_Moves = dict[str, str]


class FileSetReplace:
    """An atomic replacement of files under the root. The caller holds the folder's locks."""

    def __init__(self, files: FileSystem, root: Path, drafts: Path) -> None:
        self._files, self._root, self._drafts = files, root, drafts
        self._intent = drafts / "intent.json"
        self.is_undecided = False  # whether an intent that was rolled back may still be there

    def replace(self, contents: Mapping[str, bytes | None]) -> None:
        """Replace the contents of files under the root (None removes a file), all or none.

        Raises `OSError`. Then nothing has changed, unless `is_undecided`: then the next process to
        open the folder finishes the replacement if it finds the intent, and no change may be
        acknowledged before. Raises `Unavailable` if it is committed and `finish` failed.
        """
        moves: _Moves = {}
        try:
            self._files.make_folder("lay-out", self._drafts)
            for name, content in contents.items():
                # Noted before it is written: a part that a full disk accepted must be removed
                # again.
                moves[name] = f"{secrets.token_hex(8)}.draft" if content is not None else ""
                if content is not None:
                    self._draft(name, moves[name], content)
            self._write_intent(moves)
            self._link(moves)
        except OSError:
            self._roll_back(moves)
            raise
        self.finish()

    @property
    def is_unfinished(self) -> bool:
        """Return whether a replacement is committed and not finished."""
        return self._files.exists(self._intent)

    def finish_or_discard(self) -> None:
        """Finish the replacement of a process that died, or remove what it left.

        Raises `Unavailable`.
        """
        if self.is_unfinished:
            self.finish_left()
        else:
            self.forget()

    def finish_left(self) -> None:
        """Finish the replacement of a process that died. Raises `Unavailable`.

        The process may have died before the intent was durable. Without the syncs here, a power cut
        could lose the intent and leave only some files replaced.
        """
        try:
            self._files.sync_file("commit-left", self._intent)
            self._files.sync_folder("commit-left", self._drafts)
        except OSError as error:
            raise from_os_error(error, "cannot finish a restore") from error
        self.finish()

    def finish(self) -> None:
        """Carry out a committed intent. Raises `Unavailable`."""
        try:
            moves = self._read_intent()
            self._publish(moves)
            for folder in sorted({(self._root / name).parent for name in moves}):
                self._files.sync_folder("settle-names", folder)
            # The intent goes only now. Removed earlier, a power cut could leave some targets
            # replaced and no record of the others.
            self._files.remove("forget", self._intent)
            self.forget()
        except OSError as error:
            what = f"cannot finish the commit in {self._intent.relative_to(self._root)}"
            raise from_os_error(error, what) from error

    def forget(self) -> None:
        """Make the absence of an intent durable, then remove the drafts.

        Without the sync, a power cut could bring the intent back. It would then undo later writes,
        or miss its drafts.
        """
        if self._files.exists(self._drafts):
            self._files.sync_folder("settle-forgotten", self._drafts)
            for path in self.left():
                self._files.remove("sweep", path)

    def left(self) -> list[Path]:
        """Return the files in the folder of drafts."""
        try:
            return [self._drafts / name for name in sorted(self._files.names(self._drafts))]
        except FileNotFoundError:
            return []

    def _draft(self, name: str, draft: str, content: bytes) -> None:
        target = self._root / name
        # A person may have removed the folder. After the commit point, that would stop every
        # writer.
        self._files.make_folder("lay-out", target.parent)
        before = now = time.time_ns()
        with suppress(FileNotFoundError):
            before = self._files.status(target).st_mtime_ns + 1
        self._files.create("draft", self._drafts / draft, content, max(now, before))

    def _write_intent(self, moves: _Moves) -> None:
        """Write the intent: the commit point. The drafts' names are durable before it lists them.

        Until the first target is replaced, the holder of the lock can still roll it back.
        """
        self._files.sync_folder("settle-drafts", self._drafts)
        self._files.create("intent", self._intent, json.dumps(moves).encode())
        self._files.sync_folder("commit-swap", self._drafts)

    def _roll_back(self, moves: _Moves) -> None:
        """Roll back what happened before the first target was replaced.

        The intent is removed first, durably: without its drafts it could not be finished.
        """
        with suppress(OSError):
            if self.is_unfinished:
                self.is_undecided = True
                self._files.remove("take-back", self._intent)
                self._files.sync_folder("take-back", self._drafts)
                self.is_undecided = False
            for name, draft in moves.items():
                if draft:
                    self._files.remove("take-back", self._second_name(name, draft))
                    self._files.remove("take-back", self._drafts / draft)

    def _read_intent(self) -> _Moves:
        """Return the moves of the intent; none if a crash truncated it."""
        try:
            moves: _Moves = json.loads(self._files.read(self._intent)[0])
        except ValueError:
            return {}  # never durable, so never committed
        return moves

    def _link(self, moves: _Moves) -> None:
        """Give each draft its second name. This is the last step that needs space on the disk."""
        for name, draft in moves.items():
            if draft and not self._is_shown(name, draft):
                second_name = self._second_name(name, draft)
                if not self._files.exists(second_name):
                    self._files.link("link", self._drafts / draft, second_name)

    def _publish(self, moves: _Moves) -> None:
        """Move the drafts to their targets, except those that are there already."""
        self._link(moves)
        for name, draft in moves.items():
            target = self._root / name
            if not draft:
                self._files.remove("unpublish", target)
            elif not self._is_shown(name, draft):
                self._files.rename("publish-swap", self._second_name(name, draft), target)

    def _is_shown(self, name: str, draft: str) -> bool:
        try:
            shown, wanted = (
                self._files.status(path) for path in (self._root / name, self._drafts / draft)
            )
        except FileNotFoundError:
            if not self._files.exists(self._drafts / draft):
                raise
            return False
        return (shown.st_dev, shown.st_ino) == (wanted.st_dev, wanted.st_ino)

    def _second_name(self, name: str, draft: str) -> Path:
        return (self._root / name).parent / f".{draft}"
