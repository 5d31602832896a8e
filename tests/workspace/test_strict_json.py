"""The strict body parser: what it takes is what json takes, less what would do harm."""

import json
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workspace.json_values import INTEGER_MAX
from workspace.strict_json import BODY_NESTING_MAX, MalformedBody, load_strict

CHARACTERS = st.characters(min_codepoint=0x20, exclude_categories=["Cs"])
KEYS = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs", "Cc"]), max_size=8)
TEXTS = st.text(CHARACTERS | st.sampled_from("\n\t\r"), max_size=12)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-INTEGER_MAX, INTEGER_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=30,
)


def fault(body: bytes) -> MalformedBody:
    with pytest.raises(MalformedBody) as caught:
        load_strict(body)
    return caught.value


@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_it_reads_every_valid_value_as_json_does(value: Any, ascii_only: bool, indent: int) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert load_strict(body) == json.loads(body)


@given(st.binary(max_size=60))
@example(b"\xef\xbb\xbf{}")
@example(b'{"a": \xed\xa0\x80}')
def test_bytes_of_any_kind_are_a_value_or_malformed(body: bytes) -> None:
    try_to_load(body)


@given(VALUES, st.data())
def test_a_mutated_body_is_a_value_or_malformed(value: Any, data: st.DataObject) -> None:
    text = json.dumps(value)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 3, len(text))))
    patch = data.draw(st.text(st.sampled_from('[]{}",:\\0123456789.eE+-untrflasb\x00\ud800 \n')))
    try_to_load((text[:start] + patch + text[end:]).encode("utf-8", "surrogatepass"))


def try_to_load(body: bytes) -> None:
    try:
        value = load_strict(body)
    except MalformedBody as malformed:
        assert malformed.line >= 1
        assert malformed.column >= 1
        assert malformed.reason
        str(malformed).encode()
        lines = body.decode("utf-8", "replace").split("\n")
        assert malformed.column <= len(lines[malformed.line - 1]) + 1
    else:
        assert value == json.loads(body.decode())
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("body", "place", "reason"),
    [
        (b"", (1, 1), "the body is empty"),
        (b" \n ", (1, 1), "the body is empty"),
        (b"\xef\xbb\xbf{}", (1, 1), "without a byte order mark"),
        ('{"a": 1}'.encode("utf-16"), (1, 1), "must be UTF-8"),
        ('{"a": 1}'.encode("utf-16-be"), (1, 1), "must be UTF-8"),
        ('{"a": 1}'.encode("utf-32-le"), (1, 1), "must be UTF-8"),
        ('{\n"a": "ü'.encode() + b"\xc0\xaf", (2, 8), "byte 11 (0xC0) is not"),
        (b'{"a": \xed\xa0\x80}', (1, 7), "must be UTF-8"),
        (b"{", (1, 2), "a key in double quotes"),
        (b'{"a": 1,}', (1, 9), "comma"),
        (b"{'a': 1}", (1, 2), "a key in double quotes"),
        (b'{"a" 1}', (1, 6), "a colon must follow"),
        (b'{"a": 1 "b": 2}', (1, 9), "a comma or the closing bracket"),
        (b'{"a":\n  }', (2, 3), "a value is missing"),
        (b"{} {}", (1, 4), "nothing may follow"),
        (b'{"a": "b', (1, 7), "this text is not closed"),
        (b'{"a": "x\ny"}', (1, 9), r"write line breaks and tabs inside a text as \n"),
        (rb'{"a": "\q"}', (1, 8), "a backslash inside a text"),
        (rb'{"a": "\u12"}', (1, 9), "four hexadecimal digits"),
        (b'{"a": NaN}', (1, 7), "NaN is not JSON"),
        (b'["NaN",\n -Infinity]', (2, 2), "-Infinity is not JSON"),
        (b'{"a": 1e999}', (1, 7), "this number is too large"),
        (b'{"a": "1e999", "b": -1e999}', (1, 21), "this number is too large"),
        (b"[1, 9007199254740992]", (1, 5), "an integer must lie between"),
        (b"[-9007199254740992]", (1, 2), "an integer must lie between"),
        (b"[" + b"7" * 5000 + b"]", (1, 2), "an integer must lie between"),
        (b'{"a": {"b": 1},\n "a": 2}', (2, 2), 'the key "a" is given twice'),
        (rb'{"a": 1, "\u0061": 2}', (1, 10), 'the key "a" is given twice'),
        (rb'["\ud800"]', (1, 2), "half of a surrogate pair"),
        (rb'["\udc00\ud800"]', (1, 2), "half of a surrogate pair"),
        (rb'{"\ud800": 1}', (1, 2), "a key must hold whole characters"),
        (rb'{"a": "\u0000"}', (1, 7), "it holds U+0000"),
        (rb'{"a": "\b"}', (1, 7), "it holds U+0008"),
        (rb'{"a": "\f"}', (1, 7), "it holds U+000C"),
        (rb'{"a": "\u001F"}', (1, 7), "it holds U+001F"),
        (rb'{"a\n": 1}', (1, 2), "a key must be one line"),
    ],
)
def test_a_refusal_names_the_place_and_what_to_do(
    body: bytes, place: tuple[int, int], reason: str
) -> None:
    malformed = fault(body)
    assert (malformed.line, malformed.column) == place
    assert reason in malformed.reason


def test_texts_may_hold_line_breaks_tabs_and_characters_beyond_the_first_plane() -> None:
    assert load_strict(rb'{"a": "\n\t\r\\ud800\ud83d\ude00"}') == {"a": "\n\t\r\\ud800\U0001f600"}


def test_a_key_may_come_again_in_another_object() -> None:
    body = rb'{"a": {"a": 1}, "b": [{"a": 2}, {"a": "\u0041\ud83d\ude00 a"}], "c": "a"}'
    assert load_strict(body) == json.loads(body)


def test_nesting_is_taken_to_the_limit_and_refused_beyond() -> None:
    deepest = b"[" * BODY_NESTING_MAX + b"]" * BODY_NESTING_MAX
    assert load_strict(deepest) == json.loads(deepest)
    assert "at most 32 deep" in fault(b"[" + deepest + b"]").reason


def test_brackets_in_texts_and_beside_each_other_are_no_nesting() -> None:
    body = json.dumps({"a": "[{" * 50 + '\\"[', "b": [[], {}] * 50}).encode()
    assert load_strict(body) == json.loads(body)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
        b'{"title": "x", "metadata": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"[1" + b"7" * 5_000 + b"]",
        b'"' + b'\\"' * 50_000,
    ],
)
def test_hostile_bodies_are_refused_at_once(body: bytes) -> None:
    began = time.process_time()
    fault(body)
    # What grows with the square of a body takes minutes; milliseconds are the measured figure.
    assert time.process_time() - began < 2.0
