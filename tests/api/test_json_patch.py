"""JSON Patch by RFC 6902: its own examples, its refusals, and patches made to hurt."""

import copy
import time
from typing import Any

import pytest

from api.json_patch import COPIED_MAX, InvalidPatch, JsonPatch, PatchFailed

# Appendix A: the document, the patch, and what comes of it.
EXAMPLES: dict[str, tuple[Any, list[dict[str, Any]], Any]] = {
    "A.1": (
        {"foo": "bar"},
        [{"op": "add", "path": "/baz", "value": "qux"}],
        {"baz": "qux", "foo": "bar"},
    ),
    "A.2": (
        {"foo": ["bar", "baz"]},
        [{"op": "add", "path": "/foo/1", "value": "qux"}],
        {"foo": ["bar", "qux", "baz"]},
    ),
    "A.3": ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
    "A.4": (
        {"foo": ["bar", "qux", "baz"]},
        [{"op": "remove", "path": "/foo/1"}],
        {"foo": ["bar", "baz"]},
    ),
    "A.5": (
        {"baz": "qux", "foo": "bar"},
        [{"op": "replace", "path": "/baz", "value": "boo"}],
        {"baz": "boo", "foo": "bar"},
    ),
    "A.6": (
        {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
        [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
        {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
    ),
    "A.7": (
        {"foo": ["all", "grass", "cows", "eat"]},
        [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
        {"foo": ["all", "cows", "eat", "grass"]},
    ),
    "A.8": (
        {"baz": "qux", "foo": ["a", 2, "c"]},
        [
            {"op": "test", "path": "/baz", "value": "qux"},
            {"op": "test", "path": "/foo/1", "value": 2},
        ],
        {"baz": "qux", "foo": ["a", 2, "c"]},
    ),
    "A.10": (
        {"foo": "bar"},
        [{"op": "add", "path": "/child", "value": {"grandchild": {}}}],
        {"foo": "bar", "child": {"grandchild": {}}},
    ),
    "A.11": (
        {"foo": "bar"},
        [{"op": "add", "path": "/baz", "value": "qux", "xyz": 123}],
        {"foo": "bar", "baz": "qux"},
    ),
    "A.14": ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
    "A.16": (
        {"foo": ["bar"]},
        [{"op": "add", "path": "/foo/-", "value": ["abc", "def"]}],
        {"foo": ["bar", ["abc", "def"]]},
    ),
    "the whole": ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
    "the whole removed": ({"a": 1}, [{"op": "remove", "path": ""}], None),
    "the whole into itself": (
        {"a": 1},
        [{"op": "copy", "from": "", "path": "/b"}],
        {"a": 1, "b": {"a": 1}},
    ),
    "the whole from its part": (
        {"a": {"b": 2}},
        [{"op": "move", "from": "/a", "path": ""}],
        {"b": 2},
    ),
    "add replaces": ({"a": 1}, [{"op": "add", "path": "/a", "value": 2}], {"a": 2}),
    "add at the end": ({"a": [1]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2]}),
    "add a null": ({}, [{"op": "add", "path": "/a", "value": None}], {"a": None}),
    "an empty name": ({}, [{"op": "add", "path": "/", "value": 1}], {"": 1}),
    "escaped names": ({"a/b": 1, "m~n": 2}, [{"op": "remove", "path": "/a~1b"}], {"m~n": 2}),
    "1 is 1.0": ({"a": 1}, [{"op": "test", "path": "/a", "value": 1.0}], {"a": 1}),
    "order of names": (
        {"a": {"b": 1, "c": 2}},
        [{"op": "test", "path": "/a", "value": {"c": 2, "b": 1}}],
        {"a": {"b": 1, "c": 2}},
    ),
    "moved to itself": (
        {"a": [1, 2]},
        [{"op": "move", "from": "/a/0", "path": "/a/0"}],
        {"a": [1, 2]},
    ),
    "from of an add": ({}, [{"op": "add", "path": "/a", "value": 1, "from": 7}], {"a": 1}),
    "a number for a name": ({"0": 1}, [{"op": "remove", "path": "/0"}], {}),
    "no operation": ({"a": 1}, [], {"a": 1}),
}

# The document, the patch, and where in the patch the fault is told.
FAILING: dict[str, tuple[Any, list[dict[str, Any]], str]] = {
    "A.9": ({"baz": "qux"}, [{"op": "test", "path": "/baz", "value": "bar"}], "/0/value"),
    "A.12": ({"foo": "bar"}, [{"op": "add", "path": "/baz/bat", "value": "qux"}], "/0/path"),
    "A.15": ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": "10"}], "/0/value"),
    "true is not 1": ({"a": True}, [{"op": "test", "path": "/a", "value": 1}], "/0/value"),
    "the second": (
        {},
        [{"op": "test", "path": "", "value": {}}, {"op": "remove", "path": "/a"}],
        "/1/path",
    ),
    "replace nothing": ({}, [{"op": "replace", "path": "/a", "value": 1}], "/0/path"),
    "move nothing": ({}, [{"op": "move", "from": "/a", "path": "/b"}], "/0/from"),
    "copy nothing": ({}, [{"op": "copy", "from": "/a/b", "path": "/b"}], "/0/from"),
    "move into itself": ({"a": {}}, [{"op": "move", "from": "/a", "path": "/a/b"}], "/0/from"),
    "move the whole": ({"a": {}}, [{"op": "move", "from": "", "path": "/a"}], "/0/from"),
    "past the end": ({"a": [1]}, [{"op": "add", "path": "/a/2", "value": 2}], "/0/path"),
    "at the end": ({"a": [1]}, [{"op": "remove", "path": "/a/1"}], "/0/path"),
    "behind the end": ({"a": [1]}, [{"op": "remove", "path": "/a/-"}], "/0/path"),
    "a zero before": ({"a": [1, 2]}, [{"op": "remove", "path": "/a/01"}], "/0/path"),
    "a negative index": ({"a": [1]}, [{"op": "remove", "path": "/a/-1"}], "/0/path"),
    "an Arabic one": ({"a": [1, 2]}, [{"op": "remove", "path": "/a/\u0661"}], "/0/path"),
    "a huge index": ({"a": [1]}, [{"op": "remove", "path": f"/a/{'9' * 5000}"}], "/0/path"),
    "into a text": ({"a": "b"}, [{"op": "add", "path": "/a/0", "value": "x"}], "/0/path"),
    "after the whole": (
        {},
        [{"op": "remove", "path": ""}, {"op": "add", "path": "/a", "value": 1}],
        "/1/path",
    ),
}

# What is no patch, and where.
INVALID: dict[str, tuple[Any, list[str]]] = {
    "an object": ({"title": "A"}, [""]),
    "null": (None, [""]),
    "too many": ([{"op": "test", "path": "", "value": 1}] * 1001, [""]),
    "of texts": (["add"], ["/0"]),
    "no op": ([{"path": "/a"}], ["/0/op"]),
    "an unknown op": ([{"op": "merge", "path": "/a"}], ["/0/op"]),
    "an op that is a list": ([{"op": ["add"], "path": "/a"}], ["/0/op"]),
    "no path": ([{"op": "remove"}], ["/0/path"]),
    "no value": ([{"op": "add", "path": "/a"}], ["/0/value"]),
    "no from": ([{"op": "move", "path": "/a"}], ["/0/from"]),
    "a path without slash": ([{"op": "remove", "path": "a"}], ["/0/path"]),
    "a path in a fragment": ([{"op": "remove", "path": "#/a"}], ["/0/path"]),
    "a number for a path": ([{"op": "remove", "path": 7}], ["/0/path"]),
    "a bad escape": ([{"op": "remove", "path": "/a~2"}], ["/0/path"]),
    "an open escape": ([{"op": "remove", "path": "/a~"}], ["/0/path"]),
    "a long path": ([{"op": "remove", "path": "/a" * 33}], ["/0/path"]),
    "all at once": (
        [{"op": "add", "path": "a"}, {"op": "move"}, {"op": "test", "path": "", "value": 1}, 7],
        ["/0/path", "/0/value", "/1/path", "/1/from", "/3"],
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_works(name: str) -> None:
    document, operations, wanted = EXAMPLES[name]

    assert JsonPatch(operations).applied_to(copy.deepcopy(document)) == wanted


@pytest.mark.parametrize("name", FAILING)
def test_json_patch_inapplicable_operation_reports_pointer(name: str) -> None:
    document, operations, pointer = FAILING[name]

    with pytest.raises(PatchFailed) as failed:
        JsonPatch(operations).applied_to(copy.deepcopy(document))
    assert [error.pointer for error in failed.value.errors] == [pointer]


@pytest.mark.parametrize("name", INVALID)
def test_json_patch_invalid_document_reports_pointers(name: str) -> None:
    document, pointers = INVALID[name]

    with pytest.raises(InvalidPatch) as invalid:
        JsonPatch(document)
    assert [error.pointer for error in invalid.value.errors] == pointers


def test_a_patch_may_be_applied_twice() -> None:
    """An edit runs again where another writer was first."""
    patch = JsonPatch(
        [
            {"op": "add", "path": "/a", "value": {"b": []}},
            {"op": "add", "path": "/a/b/-", "value": 1},
            {"op": "copy", "from": "/a", "path": "/c"},
            {"op": "add", "path": "/c/b/-", "value": 2},
        ]
    )

    for _ in range(2):
        assert patch.applied_to({}) == {"a": {"b": [1]}, "c": {"b": [1, 2]}}


@pytest.mark.parametrize(
    "operations",
    [
        pytest.param([{"op": "copy", "from": "", "path": "/a"}] * 1000, id="doubling"),
        pytest.param([{"op": "copy", "from": "/big", "path": "/small"}] * 1000, id="large ones"),
        pytest.param(
            [
                {"op": "move", "from": "/big", "path": "/big2"},
                {"op": "move", "from": "/big2", "path": "/big"},
            ]
            * 500,
            id="to and fro",
        ),
        pytest.param(
            [{"op": "copy", "from": "/deep", "path": f"/deep{'/d' * 28}"}] * 50, id="deep"
        ),
    ],
)
def test_json_patch_excessive_copies_fail_quickly(operations: list[dict[str, Any]]) -> None:
    deep: dict[str, Any] = {}
    for _ in range(28):
        deep = {"d": deep}
    start = time.process_time()
    with pytest.raises(PatchFailed):
        JsonPatch(operations).applied_to({"big": "x" * (COPIED_MAX // 20), "deep": deep})
    assert time.process_time() - start < 2
