"""A document is read piece by piece as it would be whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workspace.archive.json_stream import (
    HEAD_FIELDS_MAX,
    RECORD_CHARACTERS_MAX,
    MalformedDocument,
    iter_items,
)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Half a surrogate pair has no UTF-8 form.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc é\n"), inner),
    max_leaves=8,
)
documents = st.dictionaries(st.text("abcde", min_size=1), values).flatmap(
    lambda head: st.lists(values).map(lambda tasks: {**head, "tasks": tasks})
)


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    for size in sizes:
        yield data[:size]
        data = data[size:]
    yield data


def read(data: bytes, sizes: list[int] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for piece in iter_items(cut(data, sizes or []), "tasks"):
        if piece.position is None:
            found[piece.name] = piece.value
        else:
            found.setdefault(piece.name, []).append(piece.value)
            assert len(found[piece.name]) == piece.position + 1
    return found


@given(documents, st.sampled_from([None, 2, "\t"]), st.booleans(), st.lists(st.integers(0, 30)))
def test_it_reads_what_json_reads(
    document: dict[str, Any], indent: int | str | None, ascii_only: bool, sizes: list[int]
) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    found = read(text.encode(), sizes)
    found.setdefault("tasks", [])
    assert found == document


def test_old_forms_are_read() -> None:
    assert read('\ufeff {"tasks" : [ {} ] } \r\n'.encode()) == {"tasks": [{}]}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("[]", 1),
        ('{"tasks": {}}', 1),
        ('{"tasks": [1,]}', 1),
        ('{"tasks": [1\n\n 2]}', 3),
        ('{"tasks": [],\n "tasks": []}', 2),
        ('{"tasks": [\n  {"a": 1, "a": 2}]}', 2),
        ('{"tasks": [\n\n    NaN]}', 3),
        ('{"tasks": [1e999]}', 1),
        ('{"tasks": ["a\n   b"]}', 1),
        ('{"tasks": [%s]}' % ("9" * 5000), 1),
        ('{"tasks": %s}' % ("[" * 5000), 1),
        ('{"tasks": []} x', 1),
        ('{"tasks": [', 1),
        ('{"tasks": ["abc', 1),
        ('{1: 2}', 1),
        ('{"a" 2}', 1),
        ("{" + ",".join(f'"{n}":0' for n in range(HEAD_FIELDS_MAX + 1)) + "}", 1),
    ],
)  # fmt: skip
def test_malformed_document_reports_line(text: str, line: int) -> None:
    with pytest.raises(MalformedDocument) as fault:
        read(text.encode())
    assert fault.value.line == line


def test_bytes_that_are_no_text_are_refused() -> None:
    for data in (b'{"tasks": ["\xff"]}', b'{"tasks": []}\xc3', '{"tasks": []}'.encode("utf-16")):
        with pytest.raises(MalformedDocument):
            read(data)


@pytest.mark.parametrize("item", ['"%s"', "[%s]", '{"a": "%s"}'])
def test_a_record_may_have_a_megabyte_and_no_more(item: str) -> None:
    inside = ("1," * (RECORD_CHARACTERS_MAX // 2))[:-20]
    fits, too_long = item % (inside[:-1] + "1"), item % (inside * 3 + "1")
    assert len(read(f'{{"tasks": [1, {fits}, {fits}, 2]}}'.encode(), [700] * 900)["tasks"]) == 4
    with pytest.raises(MalformedDocument, match="this one has more"):
        read(f'{{"tasks": [1, {too_long}]}}'.encode(), [700] * 900)


def test_the_spaces_of_a_layout_make_no_record_long() -> None:
    record = {"numbers": list(range(100_000))}
    text = json.dumps({"tasks": [record, record]}, indent=20)
    assert len(text) > 4 * RECORD_CHARACTERS_MAX
    assert read(text.encode(), [65_536] * 100) == {"tasks": [record, record]}
