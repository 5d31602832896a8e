"""Documents as bytes: values survive a round trip, and invalid ones are refused by name."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from types import MappingProxyType

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docstore import Corrupt, Document, InvalidValue
from docstore.codec import checked_copy, decode, encode, pieces, to_json
from docstore.json_positions import Places
from docstore.record_list import RecordList
from tests.docstore.layouts import NOTES

texts = st.text(st.characters(codec="utf-8"))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


def same(one: object, other: object) -> bool:
    """Return whether the values are equal with equal types at every level:

    1 is not 1.0 and not true.
    """
    return repr(one) == repr(other)


@given(st.dictionaries(texts, values, max_size=5))
def test_a_document_survives_its_file(content: dict[str, object]) -> None:
    content.pop("notes", None)
    data = encode(Document(content))
    assert same(decode(data, "notes/notes_1.json", NOTES).content, content)
    assert same(json.loads(data), content), "another reader sees the same"
    assert data.endswith(b"\n") and b"\r" not in data


def test_whole_numbers_of_any_size_stay_whole() -> None:
    content = {"big": 2**200, "negative": -(2**63) - 1}
    assert decode(encode(Document(content)), "n", NOTES).content == content


@given(
    st.lists(st.tuples(texts, values), max_size=3),
    st.lists(values, max_size=5),
    st.lists(st.tuples(texts, values), max_size=3),
)
def test_a_list_of_records_is_written_as_any_list(
    before: list[tuple[str, object]], records: list[object], after: list[tuple[str, object]]
) -> None:
    plain = dict([*before, ("notes", records), *after])
    listed = plain | {"notes": RecordList(records)} if plain["notes"] is records else plain
    text = msgspec.json.format(msgspec.json.encode(plain), indent=2) + b"\n"
    assert encode(Document(listed)) == text
    assert b"".join(pieces(Document(listed))) == text
    assert to_json(listed) == msgspec.json.encode(plain)


def test_documents_without_fields_or_with_records_alone_are_written_as_ever() -> None:
    assert encode(Document({})) == b"{}\n"
    assert encode(Document({"notes": RecordList()})) == b'{\n  "notes": []\n}\n'
    assert encode(Document({"notes": RecordList([{}])})) == b'{\n  "notes": [\n    {}\n  ]\n}\n'


def test_long_list_encodes_only_changed_chunks_again() -> None:
    document = Document({"notes": RecordList({"id": number} for number in range(1, 1001))})
    encode(document)
    newer = Document({"notes": document.content["notes"].append({"id": 1001})})
    old, new = pieces(document), pieces(newer)
    assert sum(piece is other for piece, other in zip(old, new, strict=True)) >= len(old) - 4
    assert document.cached_bytes > 0
    document.clear_caches()
    assert document.cached_bytes == 0


@given(values)
def test_a_checked_copy_is_equal_and_shares_nothing(value: object) -> None:
    copy = checked_copy(value)
    assert same(copy, value)
    if isinstance(value, list | dict):
        assert copy is not value


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, "\ud800", {"\udfff": 1}, {1: 2}, {"a": object()}, b"x", {1, 2}],
)
def test_value_that_a_file_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(InvalidValue):
        checked_copy({"list": [value]})


def test_a_copy_takes_what_stands_for_json() -> None:
    class Text(str):
        pass

    value = {Text("k\u00e9"): (1, Text("x")), "r": RecordList([{"a": True}]), "n": 2**70}
    assert checked_copy(value) == {"k\u00e9": [1, "x"], "r": [{"a": True}], "n": 2**70}
    assert checked_copy(MappingProxyType({"a": 1.5})) == {"a": 1.5}


def test_an_integer_that_could_not_be_read_back_is_refused() -> None:
    with pytest.raises(InvalidValue, match="thousands of digits"):
        checked_copy(10**5000)


def test_endless_nesting_is_refused() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(InvalidValue, match="nested"):
        checked_copy(value)


def test_repeated_key_is_reported_where_the_key_is() -> None:
    with pytest.raises(Corrupt) as caught:
        decode(b'{"notes": [{"id": 1}],\n  "by": [1],\n  "by": {"by": 2}}', "notes_1.json", NOTES)
    assert (caught.value.line, caught.value.column) == (3, 3)


TEXT = b"""{
  "notes": [
    {"id": 1, "a\\"b": [10, {"x": null}]},
    {"id": 2}
  ],
  "revision": 3
}
"""


@pytest.mark.parametrize(
    ("path", "position"),
    [
        ((), (1, 1)),
        (("notes",), (2, 12)),
        (("notes", 0, "id"), (3, 12)),
        (("notes", 0, 'a"b', 1, "x"), (3, 34)),
        (("notes", 1), (4, 5)),
        (("notes", 1, "missing"), (4, 5)),
        (("revision",), (6, 15)),
    ],
)
def test_a_value_is_found_by_its_path(
    path: tuple[str | int, ...], position: tuple[int, int]
) -> None:
    assert Places(TEXT).of(path) == position


@given(values)
def test_every_value_has_a_place(value: object) -> None:
    text = json.dumps({"v": value}, indent=1)
    places = Places(text.encode())

    def check(part: object, path: tuple[str | int, ...]) -> None:
        line, column = places.of(path)
        rest = "\n".join(text.split("\n")[line - 1 :])[column - 1 :]
        assert same(json.JSONDecoder().raw_decode(rest)[0], part)
        steps: Iterable[tuple[str | int, object]] = ()
        if isinstance(part, dict):
            steps = part.items()
        elif isinstance(part, list):
            steps = enumerate(part)
        for step, inner in steps:
            check(inner, (*path, step))

    check(value, ("v",))
