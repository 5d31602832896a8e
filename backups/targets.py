"""Places where backups are stored: a folder, or an S3 bucket.

A target holds files under names such as `packs/3f/3f0c….tar.zst`. A write is atomic and durable:
after a crash, the file has its complete content or does not exist.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from docstore import InvalidValue, NotFound, Unavailable
from docstore.disk.filesystem import FileSystem
from docstore.errors import from_os_error


class Target(Protocol):
    """A place for backups. Raises `Unavailable` where it cannot be reached."""

    @property
    def url(self) -> str:
        """The place, as an operator names it."""

    def names(self, under: str = "") -> dict[str, int]:
        """Return the files below the folder `under`, with their sizes in bytes.

        Without a folder, return those at the top only: the manifests.
        """

    def read(self, name: str) -> bytes:
        """Return the content of a file. Raises `NotFound`."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file atomically and durably, replacing one of that name."""

    def remove(self, name: str) -> None:
        """Remove a file. A missing one is no error."""


def target_of(url: str, base: Path, files: FileSystem | None = None) -> Target:
    """Return the target that a URL or a folder names; relative folders are in `base`.

    Raises `InvalidValue`.
    """
    scheme = urlsplit(url).scheme
    if scheme == "s3":
        return S3Target(url)
    if scheme == "file":
        return FolderTarget(Path(unquote(urlsplit(url).path)), files)
    if "://" in url or not url:
        raise InvalidValue(f"{url!r} is no place for backups: write a folder or s3://bucket/prefix")
    return FolderTarget(base / url, files)


class FolderTarget:
    """A folder, on this machine or mounted."""

    def __init__(self, root: Path, files: FileSystem | None = None) -> None:
        self.root, self._files = root, files or FileSystem()

    @property
    def url(self) -> str:
        return str(self.root)

    def names(self, under: str = "") -> dict[str, int]:
        sizes: dict[str, int] = {}
        with _as_unavailable(f"cannot list {self.root / under}"):
            self._list(self.root / under, under, sizes)
        return sizes

    def _list(self, folder: Path, under: str, sizes: dict[str, int]) -> None:
        try:
            names = self._files.names(folder)
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            full = f"{under}/{name}" if under else name
            with suppress(FileNotFoundError):
                if self._files.is_folder(folder / name):
                    if under:
                        self._list(folder / name, full, sizes)
                elif not name.startswith("."):
                    sizes[full] = self._files.status(folder / name).st_size

    def read(self, name: str) -> bytes:
        with _as_unavailable(f"cannot read {self.root / name}"):
            try:
                return self._files.read(self.root / name)[0]
            except FileNotFoundError:
                raise NotFound(f"there is no {name} in {self.root}") from None

    def write(self, name: str, data: bytes) -> None:
        path = self.root / name
        draft = path.with_name(f".{secrets.token_hex(8)}.draft")
        with _as_unavailable("cannot write the backup"):
            self._files.make_folder("backup-folder", path.parent)
            try:
                self._files.create("backup-draft", draft, data)
                self._files.rename("backup-name", draft, path)
            except OSError:
                with suppress(OSError):
                    self._files.remove("backup-take-back", draft)
                raise
            self._files.sync_folder("backup-names", path.parent)

    def remove(self, name: str) -> None:
        with _as_unavailable(f"cannot remove {self.root / name}"):
            self._files.remove("backup-remove", self.root / name)


@contextmanager
def _as_unavailable(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise from_os_error(error, what) from error


class S3Target:
    """A bucket of S3 or of a server that speaks its protocol, by obstore.

    `s3://bucket/prefix?endpoint=http://host:port&region=…`; the credentials come from the
    environment, as AWS tools read them (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, …).
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if not parts.netloc or options.keys() - {"endpoint", "region"}:
            raise InvalidValue(f"{url!r} is not understood: s3://bucket/prefix?endpoint=…&region=…")
        try:
            import obstore
            from obstore.store import S3Store
        except ImportError as error:
            raise Unavailable(
                "backups on S3 need the package obstore: install the extra s3 (uv sync --extra s3)"
            ) from error
        self.url, self._obstore = url, obstore
        settings: dict[str, Any] = {"virtual_hosted_style_request": False}
        if endpoint := options.get("endpoint"):
            settings["endpoint"] = endpoint
            settings["client_options"] = {"allow_http": endpoint.startswith("http://")}
        if region := options.get("region"):
            settings["region"] = region
        prefix = parts.path.strip("/") or None
        self._store: Any = S3Store(parts.netloc, prefix=prefix, **settings)

    def _call(self, what: str, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except FileNotFoundError:
            raise NotFound(f"there is no {what} in {self.url}") from None
        except Exception as error:  # obstore's errors have no common base but `Exception`
            reason = str(error).split("\n")[0][:300]
            raise Unavailable(f"{self.url}: {what}: {reason}") from error

    def names(self, under: str = "") -> dict[str, int]:
        def listed() -> dict[str, int]:
            if under:
                batches = self._obstore.list(self._store, prefix=under)
            else:
                batches = [self._obstore.list_with_delimiter(self._store)["objects"]]
            return {item["path"]: int(item["size"]) for batch in batches for item in batch}

        result: dict[str, int] = self._call(under or "list", listed)
        return result

    def read(self, name: str) -> bytes:
        return bytes(
            self._call(name, lambda: self._obstore.get(self._store, name).bytes().to_bytes())
        )

    def write(self, name: str, data: bytes) -> None:
        self._call(name, lambda: self._obstore.put(self._store, name, data))

    def remove(self, name: str) -> None:
        with suppress(NotFound):
            self._call(name, lambda: self._obstore.delete(self._store, name))
