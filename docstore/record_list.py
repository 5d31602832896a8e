"""A list of records of which a change copies next to nothing, however long the list is.

A `RecordList` never changes. `append`, `replace` and `remove` return a new one, which shares with
the old all but one *chunk* of up to 64 records, and one *branch* of up to 64 chunks. So whoever
reads keeps a stable snapshot, and a version costs a writer the same at 100 and at 100,000 records.

A record stays in its chunk for good: removing leaves the chunk smaller, adding goes to the end.
That is why all versions may share one index from ids to chunks. It tells where a record ever
stood, in versions to come and in some that were never committed too; whether it stands there in
this version, the chunk itself says.

Each chunk remembers its records as JSON, compact and as a file has them, once somebody asked for
it, and in the same way what a function makes of each (`each`): so putting 100,000 records in order
again after a change costs no more than comparing. What a function makes of all of them (`whole`) is
remembered by the list itself, until there is another version. `bytes_kept` estimates what all that
holds in memory; `forget_bytes` lets go of it. A list also remembers the digest of its JSON.
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

# A greater number is not an id: other readers of JSON could not tell it from its neighbours.
ID_MAX: Final = 2**53 - 1
# New ids are given above the highest one up to here. A greater one was made by hand: if it counted,
# no id would be left to give.
COUNTED_ID_MAX: Final = 10**15
CHUNK: Final = 64
BRANCH: Final = 64
# A shorter list is encoded for its file within half a millisecond: nothing of that is kept.
KEEP_INDENTED_FROM: Final = 256
# About what each record takes of what a function made of all: places in lists, numbers, a moment.
_WHOLE_BYTES: Final = 100
# So many ids that are in the list no longer, and as many as are, the index may remember.
_PAST_IDS_MAX: Final = 4096
# Once removals have left chunks this empty on average, all records move into new ones.
_RECORDS_PER_CHUNK_MIN: Final = CHUNK // 4


def id_of(item: Any) -> int | None:
    """The id of a record; None where it has none that counts (old folders have such records)."""
    record_id = item.get("id") if isinstance(item, dict) else None
    return record_id if type(record_id) is int and 0 < record_id <= ID_MAX else None


class _Chunk:
    """Records that stand together, and what was made of them so far."""

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
        """The first and the last id where all items have ids that rise; else (0, 0)."""
        if self._span is None:
            ids = [record_id for record_id in self.ids if record_id is not None]
            rising = len(ids) == len(self.items) and all(map(operator.lt, ids, ids[1:]))
            self._span = (ids[0], ids[-1]) if ids and rising else (0, 0)
        return self._span

    def with_one_more(self, item: Any, record_id: int | None) -> _Chunk:
        ids = self._ids
        return _Chunk((*self.items, item), None if ids is None else (*ids, record_id))

    def with_other(self, position: int, record: Any) -> _Chunk:
        """The chunk with a record of the same id at the position."""
        items = self.items
        return _Chunk((*items[:position], record, *items[position + 1 :]), self._ids)

    def without(self, position: int) -> _Chunk:
        items, ids = self.items, self.ids
        return _Chunk(
            (*items[:position], *items[position + 1 :]), (*ids[:position], *ids[position + 1 :])
        )

    def compact(self) -> bytes:
        """The items as JSON, with commas between and no brackets around."""
        if self._compact is None:
            self._compact = msgspec.json.encode(self.items)[1:-1]
        return self._compact

    @property
    def keeps_compact(self) -> bool:
        return self._compact is not None

    def compact_part(self, start: int, stop: int) -> bytes:
        """As `compact`, of some items only; kept where it is all of them."""
        if start <= 0 and stop >= len(self.items):
            return self.compact()
        return msgspec.json.encode(self.items[max(start, 0) : stop])[1:-1]

    def indented(self, *, keep: bool) -> bytes:
        """The items as a file has them, two levels deep, each beginning with its line break."""
        if self._indented is not None:
            return self._indented
        compact = self._compact or msgspec.json.encode(self.items)[1:-1]
        text = msgspec.json.format(b"[[" + compact + b"]]", indent=2)
        indented = text[len(b"[\n  [") : -len(b"\n  ]\n]")]
        if keep:
            self._indented = indented
        return indented

    def made(self, function: Callable[[Any], Value]) -> tuple[Value, ...]:
        """What the function makes of the items; made by the first who asks."""
        kept = self._made  # once: another thread may be letting go of it
        if kept is None:
            kept = self._made = {}
        made = kept.get(function)
        if made is None:
            made = kept[function] = tuple(map(function, self.items))
        return made

    def forget_bytes(self) -> None:
        self._compact = self._indented = self._made = None


class _Index:
    """Where the records of a line of versions stand or stood, as the ordinals of their chunks.

    Entries are added, and never changed or taken out, each by one atomic operation: readers of
    any version need no lock. Most ids have one chunk for ever; `others` has the further ones.
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
        """Notes a record that comes into the chunk; the chunk is as it was before."""
        fresh = record_id not in self.places
        known = self.places.setdefault(record_id, ordinal)
        if known != ordinal or (not fresh and record_id in chunk.ids):
            others = self.others.setdefault(record_id, [])
            if ordinal not in others:
                others.append(ordinal)


_NOTHING: Final = _Chunk((), ())


class RecordList(Sequence[Any]):
    """A list of records that never changes. See the module.

    It equals a list with the same items. Items may be anything that JSON has, ids may be missing
    or stand twice: files changed by hand are like that. Safe to read from any thread.
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
        """The value itself where it is one already; otherwise its items, none of None."""
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
        """An item, or a list of items. Costs as many steps as chunks lie to the nearer end."""
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
        found: list[tuple[Any, ...]] = []
        passed = self._length if backwards else 0
        for chunk in self._chunks_backwards() if backwards else self._chunks():
            start = passed - len(chunk.items) if backwards else passed
            end = start + len(chunk.items)
            if start < high and low < end:
                found.append(chunk.items[max(low - start, 0) : high - start])
            passed = start if backwards else end
            if passed <= low if backwards else passed >= high:
                break
        return list(chain.from_iterable(reversed(found) if backwards else found))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, RecordList):
            same = self._branches == other._branches
            return same or (self._length == other._length and list(self) == list(other))
        return list(self) == other if isinstance(other, list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __repr__(self) -> str:
        return f"RecordList({list(self)!r})"

    def _chunks(self) -> Iterator[_Chunk]:
        return chain.from_iterable(self._branches)

    def _chunks_backwards(self) -> Iterator[_Chunk]:
        return chain.from_iterable(map(reversed, reversed(self._branches)))

    def each(self, function: Callable[[Any], Value]) -> Iterator[Value]:
        """What the function makes of each item, in order; remembered by chunk.

        It must depend on the item alone, and be a function that stays, not one made for this call:
        what each one made is kept beside what the others did.
        """
        made = [chunk.made(function) for chunk in self._chunks()]
        if function not in self._made_bytes:
            sizes = (sys.getsizeof(value) for value in chain.from_iterable(made))
            weight = sum(sizes) + 8 * self._length
            self._made_bytes = {**self._made_bytes, function: weight}  # others may be adding it up
        return chain.from_iterable(made)

    def whole(self, function: Callable[[RecordList], Value]) -> Value:
        """What the function makes of the list; made once, and shared: nobody may change it.

        It must depend on the list alone, and be a function that stays, as for `each`.
        """
        whole = self._whole  # once: another thread may be letting go of it
        if function not in whole:
            whole[function] = function(self)
        made: Value = whole[function]
        return made

    # By id

    @property
    def only_objects(self) -> bool:
        """Whether all items are objects, known without a look at them."""
        return self._strangers == 0

    @property
    def highest_id(self) -> int:
        """The highest id, up to COUNTED_ID_MAX, that this list or one before it had; or 0."""
        self._indexed()
        return self._highest

    @property
    def in_id_order(self) -> bool:
        """Whether every item has an id that is above the one before. Found out once."""
        if self._in_id_order is None:
            before, rising = 0, True
            for first, last in (chunk.span for chunk in self._chunks() if chunk.items):
                rising = rising and first > before
                before = last
            self._in_id_order = rising
        return self._in_id_order

    def position_after(self, record_id: int) -> int:
        """Of a list in the order of ids: how many items have this id or a lower one."""
        passed = 0
        for chunk in self._chunks():
            if chunk.items and chunk.span[1] > record_id:
                return passed + bisect_right(chunk.ids, record_id)  # type: ignore[type-var]
            passed += len(chunk.items)
        return passed

    def find(self, record_id: int) -> tuple[Any, ...]:
        """The records with this id, in their order: none, one, or, in a spoilt file, several."""
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
            for position, one in enumerate(chunk.ids)
            if one == record_id
        ]

    def _place(self, record_id: int) -> tuple[int, _Chunk, int]:
        places = self._places(record_id)
        if len(places) != 1:
            raise KeyError(record_id)
        return places[0]

    def _indexed(self) -> _Index:
        """The index, made by the first who asks: of a list that is only read whole, never."""
        index = self._index
        if index is None:
            index = _Index(self._chunks())
            counted = (record_id for record_id in index.places if record_id <= COUNTED_ID_MAX)
            self._highest = max(self._highest, max(counted, default=0))
            self._index = index  # last: whoever sees it takes the highest id for known
        return index

    def _chunk(self, ordinal: int) -> _Chunk:
        """A chunk; an empty one where the ordinal comes from another version."""
        branch, position = divmod(ordinal, BRANCH)
        try:
            return self._branches[branch][position]
        except IndexError:
            return _NOTHING

    # New versions

    def append(self, item: Any) -> RecordList:
        """The list with one more item at its end, whatever its id."""
        index = self._index  # once, and before the highest id: another reader may be making both
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
        """The chunk that the next item comes into, and its ordinal; an empty one may be new."""
        if not self._branches:
            return 0, _NOTHING
        last = self._branches[-1]
        ordinal = (len(self._branches) - 1) * BRANCH + len(last) - 1
        return (ordinal, last[-1]) if len(last[-1].items) < CHUNK else (ordinal + 1, _NOTHING)

    def replace(self, record: Any) -> RecordList:
        """The list with this record in place of the one with its id; else `KeyError`."""
        ordinal, chunk, position = self._place(record["id"])
        return self._with_chunk(ordinal, chunk.with_other(position, record))

    def remove(self, record_id: int) -> RecordList:
        """The list without the one record with this id; `KeyError` if there is none."""
        ordinal, chunk, position = self._place(record_id)
        new = self._with_chunk(ordinal, chunk.without(position))
        new._length -= 1
        if self._index and len(self._index.places) > 2 * new._length + _PAST_IDS_MAX:
            new._index = None  # most of it tells of the past; the next to ask makes a new one
        chunks = (len(new._branches) - 1) * BRANCH + len(new._branches[-1])
        if chunks <= BRANCH // 4 or new._length >= chunks * _RECORDS_PER_CHUNK_MIN:
            return new
        moved = RecordList(new)
        moved._highest = new._highest
        return moved

    def without_first(self, count: int) -> RecordList:
        """The list without its first items, as many as `count` says."""
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
        """Another list of this line, as long as this one until its maker says otherwise."""
        new = RecordList.__new__(RecordList)
        new._branches, new._index, new._highest = branches, index, highest
        new._length, new._strangers = self._length, self._strangers
        new._compact_bytes, new._indented_bytes = self._compact_bytes, self._indented_bytes
        new._made_bytes, new._whole = self._made_bytes, {}
        new._digest = new._in_id_order = None
        return new

    # As bytes

    def json(self) -> bytes:
        """The list as compact JSON. What is encoded for it, is kept."""
        encoded = b"[" + b",".join([one.compact() for one in self._chunks() if one.items]) + b"]"
        self._compact_bytes = len(encoded)
        return encoded

    def json_of(self, start: int, stop: int) -> bytes:
        """As `json`, of the items from `start` to before `stop`; encodes no others.

        Whole chunks are kept and joined. Costs as many steps as chunks lie before `stop`.
        """
        pieces: list[bytes] = []
        passed = 0
        for chunk in self._chunks():
            begins, passed = passed, passed + len(chunk.items)
            if begins >= stop:
                break
            if start < passed > begins:
                kept = chunk.keeps_compact
                pieces.append(chunk.compact_part(start - begins, stop - begins))
                if chunk.keeps_compact and not kept:
                    self._compact_bytes += len(pieces[-1])
        return b"[" + b",".join(pieces) + b"]"

    def digest(self) -> str:
        """What tells this content from any other: of the list as JSON, found out once.

        The same content has the same digest in every process, whichever way it came to be.
        """
        if self._digest is None:
            self._digest = hashlib.blake2b(self.json(), digest_size=12).hexdigest()
        return self._digest

    def indented(self) -> list[bytes]:
        """The list as a file of two spaces of indent has it one level deep, in pieces to join.

        Of a list of at least 256 records the pieces are kept: most of the next file is the same.
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
    def bytes_kept(self) -> int:
        """About how many bytes of JSON, and of what functions made, its chunks keep, as far as
        this version can tell."""
        whole = len(self._whole) * _WHOLE_BYTES * self._length
        return self._compact_bytes + self._indented_bytes + sum(self._made_bytes.values()) + whole

    def forget_bytes(self) -> None:
        """Lets go of all JSON and values that are kept, also where other versions share them."""
        for chunk in self._chunks():
            chunk.forget_bytes()
        self._compact_bytes = self._indented_bytes = 0
        self._made_bytes, self._whole = {}, {}
