"""Many files replaced at once, all or none: how a snapshot is put back.

    .neuralflow/drafts/             new contents on their way, and the intent

By cases. Every new content is written as a *draft* and made durable, names and all. Then the
*intent*, the list of what goes where; when that is durable, so is the swap: this is the commit
point. Then each draft gets a second name beside its file, and when all have one, its file's name in
place of what had it; and the folders are made durable. Then the intent is forgotten, durably, and
last of all the drafts go.

If the power fails before the commit point, the files are untouched, and what lies in the folder of
drafts is thrown away. If it fails after, whoever opens the folder next finds the intent and
finishes: the drafts are all there, for they outlive the intent. Doing that twice, or dying in it,
changes nothing. (A draft is linked and not simply renamed: POSIX does not promise that a rename
over two folders keeps the file under one of its names when the power fails.)
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from docstore.errors import from_os_error
from docstore.filesystem import FileSystem

# A name under the root, and the draft that becomes it; "" where the file is to go.
_Moves = dict[str, str]


class Swap:
    """Replaces files under the root. Everything here is done under the folder's locks."""

    def __init__(self, files: FileSystem, root: Path, drafts: Path) -> None:
        self._files, self._root, self._drafts = files, root, drafts
        self._intent = drafts / "intent.json"

    def replace(self, contents: Mapping[str, bytes | None]) -> None:
        """Gives files under the root new contents (None removes one), all of them or none.

        Raises `OSError`; then nothing has changed, unless `is_unfinished`: then it is decided, and
        `finish` is still to succeed.
        """
        moves: _Moves = {}
        try:
            self._files.make_folder("lay-out", self._drafts)
            for name, content in contents.items():
                # Noted before it is begun: what a full disk took of it has to go again.
                moves[name] = f"{secrets.token_hex(8)}.draft" if content is not None else ""
                if content is not None:
                    self._draft(name, moves[name], content)
            self._decide(moves)
            self._link(moves)
        except OSError:
            self._take_back(moves)
            raise
        self.finish()

    @property
    def is_unfinished(self) -> bool:
        """Whether a swap was decided that is not done."""
        return self._files.exists(self._intent)

    def finish_left(self) -> None:
        """Finishes what a process left that died. It may have died before the intent was durable,
        and to act on it then would leave the half of it after a power cut."""
        try:
            self._files.sync_file("commit-left", self._intent)
            self._files.sync_folder("commit-left", self._drafts)
        except OSError as error:
            raise from_os_error(error, "cannot finish a restore") from error
        self.finish()

    def finish(self) -> None:
        """Does what the intent says, behind the commit point."""
        try:
            moves = self._read_intent()
            self._publish(moves)
            for folder in sorted({(self._root / name).parent for name in moves}):
                self._files.sync_folder("settle-names", folder)
            self._files.remove("forget", self._intent)
            self.forget()
        except OSError as error:
            what = f"cannot finish the commit in {self._intent.relative_to(self._root)}"
            raise from_os_error(error, what) from error

    def forget(self) -> None:
        """Makes durable that there is no intent, and throws away the drafts: nobody needs them.

        The intent must not come back: it would undo what was written since, or miss its drafts.
        """
        if self._files.exists(self._drafts):
            self._files.sync_folder("settle-forgotten", self._drafts)
            for path in self.left():
                self._files.remove("sweep", path)

    def left(self) -> list[Path]:
        """What lies in the folder of drafts."""
        try:
            return [self._drafts / name for name in sorted(self._files.names(self._drafts))]
        except FileNotFoundError:
            return []

    def _draft(self, name: str, draft: str, content: bytes) -> None:
        target = self._root / name
        # Whoever took the folder away: behind the commit point it would stop every writer.
        self._files.make_folder("lay-out", target.parent)
        before = now = time.time_ns()
        with suppress(FileNotFoundError):
            before = self._files.status(target).st_mtime_ns + 1
        self._files.create("draft", self._drafts / draft, content, max(now, before))

    def _decide(self, moves: _Moves) -> None:
        """The commit point. The drafts' names are durable before the intent speaks of them.

        Until the first draft is shown, whoever still holds the lock can take it back.
        """
        self._files.sync_folder("settle-drafts", self._drafts)
        self._files.create("intent", self._intent, json.dumps(moves).encode())
        self._files.sync_folder("commit-swap", self._drafts)

    def _take_back(self, moves: _Moves) -> None:
        """Undoes what came before the first draft was shown.

        The intent goes first, for good: without its drafts it would read as half done.
        """
        with suppress(OSError):
            if self.is_unfinished:
                self._files.remove("take-back", self._intent)
                self._files.sync_folder("take-back", self._drafts)
            for name, draft in moves.items():
                if draft:
                    self._files.remove("take-back", self._second_name(name, draft))
                    self._files.remove("take-back", self._drafts / draft)

    def _read_intent(self) -> _Moves:
        """The moves of the intent; none where a crash cut its writing short."""
        try:
            moves: _Moves = json.loads(self._files.read(self._intent)[0])
        except ValueError:
            return {}  # it was never durable, so it was never acknowledged
        return moves

    def _link(self, moves: _Moves) -> None:
        """Gives each draft its second name: all that may still need space on the disk."""
        for name, draft in moves.items():
            if draft and not self._is_shown(name, draft):
                second_name = self._second_name(name, draft)
                if not self._files.exists(second_name):
                    self._files.link("link", self._drafts / draft, second_name)

    def _publish(self, moves: _Moves) -> None:
        """Puts the drafts in the places of the files. Those that are there already, stay."""
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
