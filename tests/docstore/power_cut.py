"""A disk that forgets: what it may hold after the power failed, apart from what a program saw.

The model is what POSIX promises and no more. Content is durable once it was synced; a name, its
removal or its replacement once its folder was synced. Whatever was not synced may be there after
the cut or not, each name for itself, content also cut short.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

from docstore.filesystem import FileSystem

Image = dict[str, bytes]


class ForgetfulFileSystem(FileSystem):
    """Does everything for real under `root`, and keeps track of what is durable.

    `forgetting` names the steps whose sync is left out: planted bugs. `watch` is called after
    every step with its name.
    """

    def __init__(self, root: Path, forgetting: frozenset[str] = frozenset()) -> None:
        self.root, self.forgetting = root, forgetting
        self.watch: Callable[[str], None] = lambda step: None
        self.steps: list[str] = []
        self._contents: list[tuple[bytes, bool]] = []  # by file: content, whether synced
        self._names: dict[str, int] = {}  # as a program sees them
        self._durable: dict[str, int] = {}
        self._pending: list[tuple[str, int | None]] = []

    def adopt(self, image: Image) -> None:
        """Starts from files that are on the disk already, all durable."""
        for name, content in image.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_bytes(content)
            self._contents.append((content, True))
            self._names[name] = self._durable[name] = len(self._contents) - 1

    def make_folder(self, step: str, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)  # durable: its loss is no case of its own here

    def create(self, step: str, path: Path, data: bytes, mtime_ns: int | None = None) -> None:
        super().create(step, path, data, mtime_ns)
        self._contents.append((data, step not in self.forgetting))
        self._link(path, len(self._contents) - 1)
        self._done(step)

    def sync_folder(self, step: str, path: Path) -> None:
        if step not in self.forgetting:
            for name, file in [op for op in self._pending if self._is_in(op[0], path)]:
                self._apply(self._durable, name, file)
            self._pending = [op for op in self._pending if not self._is_in(op[0], path)]
        self._done(step)

    def link(self, step: str, source: Path, target: Path) -> None:
        super().link(step, source, target)
        self._link(target, self._names[self._relative(source)])
        self._done(step)

    def rename(self, step: str, source: Path, target: Path) -> None:
        file = self._names[self._relative(source)]
        super().rename(step, source, target)
        self._link(target, file)
        self._link(source, None)
        self._done(step)

    def remove(self, step: str, path: Path) -> None:
        super().remove(step, path)
        self._link(path, None)
        self._done(step)

    def _done(self, step: str) -> None:
        self.steps.append(step)
        self.watch(step)

    def _relative(self, path: Path) -> str:
        return str(path.relative_to(self.root))

    def _is_in(self, name: str, folder: Path) -> bool:
        return (self.root / name).parent == folder

    def _link(self, path: Path, file: int | None) -> None:
        name = self._relative(path)
        self._apply(self._names, name, file)
        self._pending.append((name, file))

    @staticmethod
    def _apply(names: dict[str, int], name: str, file: int | None) -> None:
        if file is None:
            names.pop(name, None)
        else:
            names[name] = file

    def images(self, dice: random.Random, random_ones: int) -> Iterator[Image]:
        """What the disk may hold after a cut now: nothing pending, all of it, random parts."""
        yield self._image(lambda: False, dice)
        yield self._image(lambda: True, dice)
        for _ in range(random_ones):
            yield self._image(lambda: dice.random() < 0.5, dice)

    def _image(self, keep: Callable[[], bool], dice: random.Random) -> Image:
        names = dict(self._durable)
        lost: set[str] = set()  # once one change of a name is lost, so are the later ones
        for name, file in self._pending:
            if name in lost or not keep():
                lost.add(name)
            else:
                self._apply(names, name, file)
        return {name: self._surviving(file, dice) for name, file in names.items()}

    def _surviving(self, file: int, dice: random.Random) -> bytes:
        content, synced = self._contents[file]
        return content if synced else content[: dice.choice([0, len(content) // 2, len(content)])]
