"""A persistent list of records: a change copies almost nothing, however long the list is.

A `RecordList` is immutable. `append`, `replace` and `remove` return a new list that shares with the
old one all but one *chunk* of up to 64 records and one *branch* of up to 64 chunks (path copying).
So a reader has a stable snapshot, and a new version costs the same at 100 and at 100,000 records.

A record stays in its chunk: removing makes the chunk smaller, and adding appends to the end. So all
versions can share one index from ids to chunks. The index holds every chunk that a record was ever
in, including later versions and some that were never committed. The chunk itself decides whether
the record is there in this version.

Each chunk caches its records as JSON, compact and as in a file, once that was requested, and the
results of functions on each record (`map_cached`). So sorting 100,000 records again after a change
costs little more than the comparisons. The list itself caches the results of functions on the list
(`derive_cached`) and the digest of its JSON; a new version starts without these. `cached_bytes`
estimates the memory of all caches except the digest, and `clear_caches` clears those.
"""

from __future__ import annotations

import hashlib
import operator
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, SupportsIndex, TypeVar, overload

import msgspec

Value = TypeVar("Value")

# Greater numbers are not ids: other JSON readers may round them to a neighbour (RFC 8259, section
# 6).
ID_MAX: Final = 2**53 - 1
# New ids follow the highest one up to here. A greater one was written by hand. If it counted, no id
# would be left to assign.
COUNTED_ID_MAX: Final = 10**15
CHUNK: Final = 64
BRANCH: Final = 64
# A shorter list is encoded for its file within half a millisecond, and nothing is cached.
KEEP_INDENTED_FROM: Final = 256
# The estimated bytes per record of a function result: references, numbers, times.
_WHOLE_BYTES: Final = 100
# The index may hold this many ids that left the list, plus as many as are in it.
_PAST_IDS_MAX: Final = 4096
# When removals leave fewer records in a chunk on average, all records move to new chunks.
_RECORDS_PER_CHUNK_MIN: Final = CHUNK // 4


def id_of(item: Any) -> int | None:
    """Return the id of a record; None if it has no valid one, as some records of old folders."""
    record_id = item.get("id") if isinstance(item, dict) else None
    return record_id if type(record_id) is int and 0 < record_id <= ID_MAX else None


class _Chunk:
    """Consecutive records, with the cached encodings and function results."""

    __slots__ = ("_compact", "_ids", "_indented", "_made", "_span", "items")

    def __init__(self, items: tuple[Any, ...], ids: tuple[int | None, ...] | None = None) -> None:
        self.items = items
        self._ids = ids
        self._span: tuple[int, int] | None = None
        self._compact: bytes | None = None
        self._indented: bytes | None = None
        self._made: dict[Callable[[Any], Any], tuple[Any, ...]] | None = None

    @property
    def ids(self) -> tuple[int | None, ...]:
        if self._ids is None:
            self._ids = tuple(map(id_of, self.items))
        return self._ids

    @property
    def span(self) -> tuple[int, int]:
        """Return the first and the last id if all items have ids that ascend, otherwise (0, 0)."""
        if self._span is None:
            ids = [record_id for record_id in self.ids if record_id is not None]
            rising = len(ids) == len(self.items) and all(map(operator.lt, ids, ids[1:]))
            self._span = (ids[0], ids[-1]) if ids and rising else (0, 0)
        return self._span

    def with_one_more(self, item: Any, record_id: int | None) -> _Chunk:
        ids = self._ids
        return _Chunk((*self.items, item), None if ids is None else (*ids, record_id))

    def with_other(self, position: int, record: Any) -> _Chunk:
        """Return the chunk with a record of the same id at the position."""
        items = self.items
        return _Chunk((*items[:position], record, *items[position + 1 :]), self._ids)

    def without(self, position: int) -> _Chunk:
        items, ids = self.items, self.ids
        return _Chunk(
            (*items[:position], *items[position + 1 :]), (*ids[:position], *ids[position + 1 :])
        )

    def compact(self) -> bytes:
        """Return the items as JSON, separated by commas, without brackets."""
        if self._compact is None:
            self._compact = msgspec.json.encode(self.items)[1:-1]
        return self._compact

    @property
    def keeps_compact(self) -> bool:
        return self._compact is not None

    def compact_part(self, start: int, stop: int) -> bytes:
        """Like `compact`, for some of the items. Only the encoding of all items is cached."""
        if start <= 0 and stop >= len(self.items):
            return self.compact()
        return msgspec.json.encode(self.items[max(start, 0) : stop])[1:-1]

    def indented(self, *, keep: bool) -> bytes:
        """Return the items as in a file, two levels deep, each after its line break."""
        if self._indented is not None:
            return self._indented
        compact = self._compact or msgspec.json.encode(self.items)[1:-1]
        text = msgspec.json.format(b"[[" + compact + b"]]", indent=2)
        indented = text[len(b"[\n  [") : -len(b"\n  ]\n]")]
        if keep:
            self._indented = indented
        return indented

    def made(self, function: Callable[[Any], Value]) -> tuple[Value, ...]:
        """Return the results of the function on the items, computed on the first call."""
        cached = self._made  # read once: another thread may clear it
        if cached is None:
            cached = self._made = {}
        made = cached.get(function)
        if made is None:
            made = cached[function] = tuple(map(function, self.items))
        return made

    def clear_caches(self) -> None:
        self._compact = self._indented = self._made = None


class _Index:
    """The chunks that hold or held each record of related versions, as ordinals.

    Entries are only added, each by one atomic operation, and never changed or removed, so readers
    of any version need no lock. Most ids are in one chunk for ever; `others` holds any further
    ones.
    """

    __slots__ = ("others", "places")

    def __init__(self, chunks: Iterable[_Chunk]) -> None:
        self.places: dict[int, int] = {}
        self.others: dict[int, list[int]] = {}
        for ordinal, chunk in enumerate(chunks):
            for record_id in chunk.ids:
                if record_id in self.places:
                    self.others.setdefault(record_id, []).append(ordinal)
                elif record_id is not None:
                    self.places[record_id] = ordinal

    def add(self, record_id: int, ordinal: int, chunk: _Chunk) -> None:
        """Index a record that is about to be added to the chunk."""
        fresh = record_id not in self.places
        known = self.places.setdefault(record_id, ordinal)
        if known != ordinal or (not fresh and record_id in chunk.ids):
            others = self.others.setdefault(record_id, [])
            if ordinal not in others:
                others.append(ordinal)


_NOTHING: Final = _Chunk((), ())


class RecordList(Sequence[Any]):
    """An immutable list of records. See the module.

    It equals a list with the same items. Items may be any JSON values, and ids may be missing or
    repeated: manually edited files contain such records. Safe to read from any thread.
    """

    __slots__ = (
        "_branches",
        "_compact_bytes",
        "_digest",
        "_highest",
        "_in_id_order",
        "_indented_bytes",
        "_index",
        "_length",
        "_made_bytes",
        "_strangers",
        "_whole",
    )

    def __init__(self, items: Iterable[Any] = ()) -> None:
        every = tuple(items)
        chunks = [_Chunk(every[start : start + CHUNK]) for start in range(0, len(every), CHUNK)]
        self._branches = tuple(
            tuple(chunks[start : start + BRANCH]) for start in range(0, len(chunks), BRANCH)
        )
        self._length = len(every)
        self._strangers = 0
        if not set(map(type, every)) <= {dict}:
            self._strangers = sum(not isinstance(item, dict) for item in every)
        self._index: _Index | None = None
        self._highest = 0
        self._compact_bytes = self._indented_bytes = 0
        self._made_bytes: dict[Callable[[Any], Any], int] = {}
        self._whole: dict[Callable[[RecordList], Any], Any] = {}
        self._digest: str | None = None
        self._in_id_order: bool | None = None

    @classmethod
    def of(cls, value: Any) -> RecordList:
        """Return the value if it is a `RecordList`, otherwise a list of its items (None: empty)."""
        return value if isinstance(value, RecordList) else cls(value or ())

    # As a sequence

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(chunk.items for chunk in self._chunks())

    def __reversed__(self) -> Iterator[Any]:
        return chain.from_iterable(reversed(chunk.items) for chunk in self._chunks_backwards())

    @overload
    def __getitem__(self, index: SupportsIndex) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        """Return an item, or a list of items. Costs a step for each chunk up to the nearer end."""
        if isinstance(index, slice):
            wanted = range(self._length)[index]
            if not wanted:
                return []
            low, high = sorted((wanted[0], wanted[-1]))
            return self._between(low, high + 1)[:: wanted.step]
        position = range(self._length)[operator.index(index)]
        return self._between(position, position + 1)[0]

    def _between(self, low: int, high: int) -> list[Any]:
        backwards = self._length - low < high
        parts: list[tuple[Any, ...]] = []
        passed = self._length if backwards else 0
        for chunk in self._chunks_backwards() if backwards else self._chunks():
            start = passed - len(chunk.items) if backwards else passed
            end = start + len(chunk.items)
            if start < high and low < end:
                parts.append(chunk.items[max(low - start, 0) : high - start])
            passed = start if backwards else end
            if passed <= low if backwards else passed >= high:
                break
        return list(chain.from_iterable(reversed(parts) if backwards else parts))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, RecordList):
            same = self._branches == other._branches
            return same or (self._length == other._length and list(self) == list(other))
        return list(self) == other if isinstance(other, list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # like a list

    def __repr__(self) -> str:
        return f"RecordList({list(self)!r})"

    def _chunks(self) -> Iterator[_Chunk]:
        return chain.from_iterable(self._branches)

    def _chunks_backwards(self) -> Iterator[_Chunk]:
        return chain.from_iterable(map(reversed, reversed(self._branches)))

    def map_cached(self, function: Callable[[Any], Value]) -> Iterator[Value]:
        """Return the results of the function on the items, in order, cached by chunk.

        The function must depend on the item alone, and must be long-lived: the results are cached
        for each function object, so one made for each call would fill the cache.
        """
        made = [chunk.made(function) for chunk in self._chunks()]
        if function not in self._made_bytes:
            sizes = (sys.getsizeof(value) for value in chain.from_iterable(made))
            weight = sum(sizes) + 8 * self._length
            self._made_bytes = {**self._made_bytes, function: weight}  # others may iterate it
        return chain.from_iterable(made)

    def derive_cached(self, function: Callable[[RecordList], Value]) -> Value:
        """Return the result of the function on the list, computed once. Callers must not change it.

        The function must depend on the list alone, and must be long-lived, as for `map_cached`.
        """
        cached = self._whole  # read once: another thread may clear it
        if function not in cached:
            cached[function] = function(self)
        made: Value = cached[function]
        return made

    # By id

    @property
    def all_objects(self) -> bool:
        """Return whether all items are objects, at constant cost."""
        return self._strangers == 0

    @property
    def highest_id(self) -> int:
        """Return the highest id up to COUNTED_ID_MAX of this or an earlier version; 0 for none."""
        self._indexed()
        return self._highest

    @property
    def in_id_order(self) -> bool:
        """Return whether every item has an id above that of the item before. Cached."""
        if self._in_id_order is None:
            before, rising = 0, True
            for first, last in (chunk.span for chunk in self._chunks() if chunk.items):
                rising = rising and first > before
                before = last
            self._in_id_order = rising
        return self._in_id_order

    def bisect_id(self, record_id: int) -> int:
        """Return how many items have this id or a lower one. Requires `in_id_order`."""
        passed = 0
        for chunk in self._chunks():
            if chunk.items and chunk.span[1] > record_id:
                return passed + bisect_right(chunk.ids, record_id)  # type: ignore[type-var]
            passed += len(chunk.items)
        return passed

    def find(self, record_id: int) -> tuple[Any, ...]:
        """Return the records with this id in list order: one at most in a valid file."""
        if record_id not in self._indexed().places:
            return ()
        return tuple([chunk.items[position] for _, chunk, position in self._places(record_id)])

    def _places(self, record_id: int) -> list[tuple[int, _Chunk, int]]:
        index = self._indexed()
        ordinal = index.places.get(record_id)
        if ordinal is None:
            return []
        if record_id not in index.others:
            chunk = self._chunk(ordinal)
            try:
                return [(ordinal, chunk, chunk.ids.index(record_id))]
            except ValueError:
                return []
        return [
            (place, chunk, position)
            for place in sorted({ordinal, *index.others[record_id]})
            for chunk in [self._chunk(place)]
            for position, current in enumerate(chunk.ids)
            if current == record_id
        ]

    def _place(self, record_id: int) -> tuple[int, _Chunk, int]:
        places = self._places(record_id)
        if len(places) != 1:
            raise KeyError(record_id)
        return places[0]

    def _indexed(self) -> _Index:
        """Return the index, built on first use: a list that is only iterated never builds one."""
        index = self._index
        if index is None:
            index = _Index(self._chunks())
            counted = (record_id for record_id in index.places if record_id <= COUNTED_ID_MAX)
            self._highest = max(self._highest, max(counted, default=0))
            self._index = index  # last: a reader that sees the index takes the highest id as known
        return index

    def _chunk(self, ordinal: int) -> _Chunk:
        """Return a chunk; an empty one if the ordinal belongs to another version."""
        branch, position = divmod(ordinal, BRANCH)
        try:
            return self._branches[branch][position]
        except IndexError:
            return _NOTHING

    # New versions

    def append(self, item: Any) -> RecordList:
        """Return the list with an item appended; its id may be any, or missing."""
        index = self._index  # read once, before the highest id: another reader may be building both
        highest, record_id, branches = self._highest, id_of(item), self._branches
        ordinal, tail = self._room_at_end()
        number = ordinal // BRANCH
        branch = branches[number] if number < len(branches) else ()
        longer = (*branch[: ordinal % BRANCH], tail.with_one_more(item, record_id))
        if record_id is not None and index is not None:
            index.add(record_id, ordinal, tail)
            if highest < record_id <= COUNTED_ID_MAX:
                highest = record_id
        new = self._version((*branches[:number], longer), index, highest)
        new._length += 1
        new._strangers += not isinstance(item, dict)
        return new

    def _room_at_end(self) -> tuple[int, _Chunk]:
        """Return the ordinal of the chunk for the next item, and the chunk; a new one is empty."""
        if not self._branches:
            return 0, _NOTHING
        last = self._branches[-1]
        ordinal = (len(self._branches) - 1) * BRANCH + len(last) - 1
        return (ordinal, last[-1]) if len(last[-1].items) < CHUNK else (ordinal + 1, _NOTHING)

    def replace(self, record: Any) -> RecordList:
        """Return the list with this record in place of the one with its id. Raises `KeyError`."""
        ordinal, chunk, position = self._place(record["id"])
        return self._with_chunk(ordinal, chunk.with_other(position, record))

    def remove(self, record_id: int) -> RecordList:
        """Return the list without the record with this id.

        Raises `KeyError` unless exactly one has it.
        """
        ordinal, chunk, position = self._place(record_id)
        new = self._with_chunk(ordinal, chunk.without(position))
        new._length -= 1
        if self._index and len(self._index.places) > 2 * new._length + _PAST_IDS_MAX:
            new._index = None  # mostly ids of the past: the next lookup builds a new one
        chunks = (len(new._branches) - 1) * BRANCH + len(new._branches[-1])
        if chunks <= BRANCH // 4 or new._length >= chunks * _RECORDS_PER_CHUNK_MIN:
            return new
        moved = RecordList(new)
        moved._highest = new._highest
        return moved

    def without_first(self, count: int) -> RecordList:
        """Return the list without its first `count` items."""
        rest = RecordList(self[count:])
        rest._highest = self._highest
        return rest

    def _with_chunk(self, ordinal: int, chunk: _Chunk) -> RecordList:
        number, position = divmod(ordinal, BRANCH)
        branch = self._branches[number]
        changed = (*branch[:position], chunk, *branch[position + 1 :])
        branches = (*self._branches[:number], changed, *self._branches[number + 1 :])
        return self._version(branches, self._index, self._highest)

    def _version(
        self, branches: tuple[tuple[_Chunk, ...], ...], index: _Index | None, highest: int
    ) -> RecordList:
        """Return a new version with these branches. Its maker corrects its length."""
        new = RecordList.__new__(RecordList)
        new._branches, new._index, new._highest = branches, index, highest
        new._length, new._strangers = self._length, self._strangers
        new._compact_bytes, new._indented_bytes = self._compact_bytes, self._indented_bytes
        new._made_bytes, new._whole = self._made_bytes, {}
        new._digest = new._in_id_order = None
        return new

    # As bytes

    def json(self) -> bytes:
        """Return the list as compact JSON, and cache the encoding of each chunk."""
        encoded = (
            b"[" + b",".join([chunk.compact() for chunk in self._chunks() if chunk.items]) + b"]"
        )
        self._compact_bytes = len(encoded)
        return encoded

    def json_of(self, start: int, stop: int) -> bytes:
        """Like `json`, for the items from `start` to before `stop`; encodes no others.

        Complete chunks are cached and joined. Costs a step for each chunk before `stop`.
        """
        pieces: list[bytes] = []
        passed = 0
        for chunk in self._chunks():
            begins, passed = passed, passed + len(chunk.items)
            if begins >= stop:
                break
            if start < passed > begins:
                was_cached = chunk.keeps_compact
                pieces.append(chunk.compact_part(start - begins, stop - begins))
                if chunk.keeps_compact and not was_cached:
                    self._compact_bytes += len(pieces[-1])
        return b"[" + b",".join(pieces) + b"]"

    def digest(self) -> str:
        """Return a digest of the list as compact JSON, computed once.

        Equal JSON has the same digest in every process.
        """
        if self._digest is None:
            self._digest = hashlib.blake2b(self.json(), digest_size=12).hexdigest()
        return self._digest

    def indented(self) -> list[bytes]:
        """Return the list as in a file with an indent of two, one level deep, as pieces to join.

        Of a list of at least 256 records the pieces are cached: most of the next file is the same.
        """
        if not self._length:
            return [b"[]"]
        keep = self._length >= KEEP_INDENTED_FROM
        pieces = [b"["]
        for chunk in self._chunks():
            if chunk.items:
                pieces += (chunk.indented(keep=keep), b",")
        pieces[-1] = b"\n  ]"
        self._indented_bytes = sum(map(len, pieces)) if keep else 0
        return pieces

    @property
    def cached_bytes(self) -> int:
        """Return the estimated bytes of JSON and function results that list and chunks cache.

        Other versions may have cached more in shared chunks: this version does not count that.
        """
        list_bytes = len(self._whole) * _WHOLE_BYTES * self._length
        return (
            self._compact_bytes + self._indented_bytes + sum(self._made_bytes.values()) + list_bytes
        )

    def clear_caches(self) -> None:
        """Clear all cached JSON and function results, also where other versions share them."""
        for chunk in self._chunks():
            chunk.clear_caches()
        self._compact_bytes = self._indented_bytes = 0
        self._made_bytes, self._whole = {}, {}
