"""The manifest of a backup, and the listings that it names.

    neuralflow_2026-11-23T12-52-56.484571Z.json      the manifest, for people and programs
    packs/3f/3f0c….tar.zst[.age]                     the contents
    verified/neuralflow_2026-11-23T12-52-56.484571Z.json   the result of its last verification

A manifest is written last: a backup is complete or absent. Its last line is the SHA-256 of
everything before, so any change of it is detected. The files are listed in *listings*, objects in
the packs: one for each group of owners, one for the database. A backup after small changes reuses
the listings of the other groups.

The *root hash* is the SHA-256 of the lines `<sha256>  <name>`, sorted by name, for all files: what
`sha256sum` prints for the unpacked files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import msgspec

from backups.encryption import Envelope
from backups.objects import PackReader, Place, digest_of
from backups.targets import Target
from docstore import Corrupt, Finding, NotFound

FORMAT: Final = 2  # the archives of 0.1 have format 1
SUFFIX: Final = ".json"
VERIFIED: Final = "verified"
_NAMED_AFTER: Final = "neuralflow_%Y-%m-%dT%H-%M-%S.%fZ"
_NAME: Final = re.compile(r"neuralflow_[0-9-]{10}T[0-9-]{8}\.[0-9]{6}Z", re.ASCII)
_OWNERS_IN_GROUP: Final = 16
_DIGITS_MAX: Final = 18
_CHECKSUM: Final = b',\n  "checksum": "'


class File(msgspec.Struct, frozen=True, gc=False):
    """A file in a backup: `records` counts the list of a document, and is None for other files."""

    name: str
    bytes: int
    sha256: str
    records: int | None
    pack: str
    offset: int

    @property
    def place(self) -> Place:
        """Return the position of its content."""
        return Place(self.pack, self.offset, self.bytes)


class Listing(msgspec.Struct, frozen=True):
    """The position of a listing, and the group of owners whose files it lists."""

    group: str
    files: int
    sha256: str
    bytes: int
    pack: str
    offset: int

    @property
    def place(self) -> Place:
        """Return the position of its content."""
        return Place(self.pack, self.offset, self.bytes)


class Database(msgspec.Struct, frozen=True):
    """The accounts in a backup: a file of the kind "sqlite" or "postgresql", in parts."""

    kind: str
    name: str
    bytes: int
    sha256: str
    listing: Listing


class Manifest(msgspec.Struct, frozen=True):
    """The description of a backup. `packs` gives the stored bytes of each pack that it needs.

    `sequence` is the number of the last commit in it. `counts` holds the documents and records of
    each collection. `findings` are the documents that cannot be read; the backup has them as they
    are.
    """

    format: int
    name: str
    created_at: str
    program: str
    sequence: int
    files: int
    bytes: int
    root: str
    counts: dict[str, dict[str, int]]
    findings: list[Finding]
    recipients: list[str]
    database: Database | None
    listings: list[Listing]
    packs: dict[str, int]

    @property
    def moment(self) -> datetime:
        """Return the moment that the backup shows."""
        return datetime.fromisoformat(self.created_at)


class Verified(msgspec.Struct, frozen=True):
    """The result of a verification. `problem` is empty if the backup can be restored completely.

    `manifest` is the checksum of the manifest that was verified. `complete` is False if only the
    stored bytes were compared, because no identity was there to decrypt them.
    """

    name: str
    manifest: str
    verified_at: str
    program: str
    complete: bool
    problem: str
    files: int
    bytes: int
    findings: list[Finding] = []


def backup_name(moment: datetime) -> str:
    """Return the name of a backup that shows this moment, which is in UTC."""
    return f"{moment:{_NAMED_AFTER}}"


def group_of(name: str) -> str:
    """Return the group whose listing has a file: that of its owner, or "" for other files."""
    digits = name[name.rfind("_") + 1 :].removesuffix(".json")
    if len(digits) > _DIGITS_MAX or not (digits.isascii() and digits.isdigit()):
        return ""
    return str(int(digits) // _OWNERS_IN_GROUP * _OWNERS_IN_GROUP)


def root_hash(files: Iterable[tuple[str, str]]) -> str:
    """Return the root hash of files, given as sorted pairs of name and SHA-256."""
    root = hashlib.sha256()
    root.update("".join(f"{sha256}  {name}\n" for name, sha256 in files).encode())
    return root.hexdigest()


def with_checksum(content: msgspec.Struct) -> tuple[bytes, str]:
    """Return the bytes of a JSON file for people, and the checksum in its last line."""
    text = msgspec.json.format(msgspec.json.encode(content), indent=2).removesuffix(b"\n}")
    checksum = digest_of(text)
    return text + _end(checksum), checksum


def _end(checksum: str) -> bytes:
    return _CHECKSUM + checksum.encode() + b'"\n}\n'


def _checked(name: str, data: bytes) -> tuple[dict[str, Any], str]:
    """Return the content of such a file, and its checksum. Raises `Corrupt`."""
    text = data[: data.rfind(_CHECKSUM)]
    checksum = digest_of(text)
    if _CHECKSUM not in data or data[len(text) :] != _end(checksum):
        raise Corrupt(name, "is damaged: its checksum differs from its content")
    try:
        content = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise Corrupt(name, f"is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise Corrupt(name, "is no object")
    return content, checksum


def read_manifest(target: Target, name: str) -> tuple[Manifest, str]:
    """Return a backup's manifest and its checksum. Raises `NotFound`, `Corrupt`."""
    file = name + SUFFIX
    content, checksum = _checked(file, target.read(file))
    if content.get("format") != FORMAT:
        raise Corrupt(file, f"has format {content.get('format')}; {FORMAT} is understood")
    try:
        return msgspec.convert(content, Manifest), checksum
    except msgspec.ValidationError as error:
        raise Corrupt(file, f"is no manifest: {error}") from error


def read_verified(target: Target, name: str) -> Verified | None:
    """Return the result of a backup's last verification; None if there is none that reads."""
    file = f"{VERIFIED}/{name}{SUFFIX}"
    try:
        content, _ = _checked(file, target.read(file))
        return msgspec.convert(content, Verified)
    except (NotFound, Corrupt, msgspec.ValidationError):
        return None


def backup_names(target: Target) -> list[str]:
    """Return the names of the backups in a target, oldest first, including renamed ones."""
    files = [name for name in target.names() if "/" not in name and name.endswith(SUFFIX)]
    names = [name.removesuffix(SUFFIX) for name in files]
    return sorted(names, key=lambda name: (_moment_in(target, name), name))


def _moment_in(target: Target, name: str) -> str:
    """Return the name that a backup had at first, which begins with its moment."""
    if _NAME.fullmatch(name):
        return name
    with suppress(Corrupt, NotFound):
        return read_manifest(target, name)[0].name
    return ""


def write_listing(files: list[File]) -> bytes:
    """Return the bytes of a listing: a JSON list with one file a line."""
    lines = b",\n".join(map(msgspec.json.encode, files))
    return b"[\n" + lines + b"\n]\n"


_decode_listing: Final = msgspec.json.Decoder(list[File]).decode


def read_listing(reader: PackReader, listing: Listing) -> list[File]:
    """Return the files of a listing. Raises `Corrupt`."""
    data = reader.read(listing.sha256, listing.place)
    try:
        return _decode_listing(data)
    except msgspec.MsgspecError as error:
        raise Corrupt(f"listing {listing.group}", f"does not read: {error}") from error


class Backup:
    """A backup in a target, open for reading."""

    def __init__(self, target: Target, name: str, identities: list[Any] | None = None) -> None:
        self.target, self.name = target, name
        self.manifest, self.checksum = read_manifest(target, name)
        self.envelope = Envelope(self.manifest.recipients, identities or [])
        self.forget()

    def forget(self) -> None:
        """Discard cached packs, so that the next reads are from the target."""
        self.reader = PackReader(self.target, self.envelope)

    def files(self, group: str | None = None) -> list[File]:
        """Return all files, or those of one group, sorted by name. Raises `Corrupt`."""
        files = [
            file
            for listing in self.manifest.listings
            if group is None or listing.group == group
            for file in read_listing(self.reader, listing)
        ]
        files.sort(key=lambda file: file.name)
        if group is None:
            self._check(files)
        return files

    def _check(self, files: list[File]) -> None:
        lines = [(file.name, file.sha256) for file in files]
        if database := self.manifest.database:
            lines.append((database.name, database.sha256))
            lines.sort()
        if len(files) != self.manifest.files or root_hash(lines) != self.manifest.root:
            raise Corrupt(self.name + SUFFIX, "its root hash differs from its listings")

    def content(self, file: File) -> bytes:
        """Return the content of a file. Raises `Corrupt`."""
        return self.reader.read(file.sha256, file.place)

    def database_parts(self) -> Iterable[bytes]:
        """Yield the parts of the database, if the backup has one. Raises `Corrupt`."""
        if self.manifest.database is not None:
            for part in read_listing(self.reader, self.manifest.database.listing):
                yield self.content(part)
