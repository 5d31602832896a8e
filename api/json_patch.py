"""JSON Patch (RFC 6902) on values. Pure, with bounds that are checked before any work.

A malformed patch raises `InvalidPatch` with all faults. A patch that does not apply raises
`PatchFailed`. Both locate the fault in the patch by a JSON Pointer (RFC 6901).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Never

import msgspec

from workspace.documents import deep_copy
from workspace.json_values import ErrorList, FieldError, pointer_to, same_value

OPERATIONS_MAX = 1_000
STEPS_MAX = 32  # names in a pointer; stored values are never that deep
COPIED_MAX = 2**20  # bytes of JSON that a patch may copy and move

_INDEX = re.compile("0|[1-9][0-9]{0,8}", re.ASCII)
_BAD_ESCAPE = re.compile("~(?![01])")
_NEEDS = {
    "add": ("path", "value"),
    "remove": ("path",),
    "replace": ("path", "value"),
    "move": ("from", "path"),
    "copy": ("from", "path"),
    "test": ("path", "value"),
}

Steps = tuple[str, ...]  # the first is always "", the key of the value in `_Work.root`


class InvalidPatch(ValueError):
    """The body is not a JSON Patch. `errors` has each fault."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("; ".join(f"{e.pointer or 'the patch'} {e.detail}" for e in errors))
        self.errors = tuple(errors)


class PatchFailed(Exception):
    """The patch does not apply: a test failed, or a location does not exist."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(detail)
        self.errors = (FieldError(pointer, detail),)


class PatchOperation(NamedTuple):
    """A parsed operation. `at` is its JSON Pointer within the patch."""

    at: str
    op: str
    path: Steps
    source: Steps
    value: Any


class JsonPatch:
    """A parsed patch, which can be applied to any number of values."""

    def __init__(self, document: Any) -> None:
        """Parse the patch. Raises `InvalidPatch`."""
        faults = ErrorList()
        if not isinstance(document, list):
            faults.add("", "must be a list of operations")
        elif len(document) > OPERATIONS_MAX:
            faults.add("", f"may hold {OPERATIONS_MAX} operations; it has {len(document)}")
        else:
            entries = enumerate(document)
            self._operations = [_operation(entry, f"/{n}", faults) for n, entry in entries]
        if faults.found:
            raise InvalidPatch(faults.found)

    def applied_to(self, value: Any) -> Any:
        """Apply the operations to the value in place. Return the result. Raises `PatchFailed`."""
        work = _Work(value)
        for operation in self._operations:
            work.do(operation)
        return work.root.get("")


class _Work:
    """A value being patched. It is a member of `root`, so that it can be replaced completely."""

    def __init__(self, value: Any) -> None:
        self.root: dict[str, Any] = {"": value}
        self.copied = 0
        self.at = ""

    def do(self, operation: PatchOperation) -> None:
        self.at = operation.at
        _DEEDS[operation.op](self, operation)

    def add(self, operation: PatchOperation) -> None:
        # Copy: later operations may modify the value, and the patch may be applied again.
        self._insert(operation.path, deep_copy(operation.value))

    def remove(self, operation: PatchOperation) -> None:
        self._take_out(operation.path, "path")

    def replace(self, operation: PatchOperation) -> None:
        place, key = self._existing(operation.path, "path")
        place[key] = deep_copy(operation.value)

    def move(self, operation: PatchOperation) -> None:
        source, path = operation.source, operation.path
        if path[: len(source)] == source and path != source:
            self._fail("from", "cannot be moved into itself")
        value = self._found(source, "from")
        self._bound(value, path)
        if path != source:
            self._take_out(source, "from")
            self._insert(path, value)

    def copy(self, operation: PatchOperation) -> None:
        value = self._found(operation.source, "from")
        self._bound(value, operation.path)
        self._insert(operation.path, deep_copy(value))

    def test(self, operation: PatchOperation) -> None:
        if not same_value(self._found(operation.path, "path"), operation.value):
            self._fail("value", "is not what is there")

    def _insert(self, path: Steps, value: Any) -> None:
        place = self._place(path, "path")
        key = path[-1]
        if isinstance(place, dict):
            place[key] = value
        elif key == "-":
            place.append(value)
        else:
            place.insert(self._index(key, len(place) + 1, "path"), value)

    def _take_out(self, path: Steps, member: str) -> None:
        place, key = self._existing(path, member)
        del place[key]

    def _found(self, path: Steps, member: str) -> Any:
        place, key = self._existing(path, member)
        return place[key]

    def _existing(self, path: Steps, member: str) -> tuple[Any, Any]:
        """Return the container and the key of an existing value. Raises `PatchFailed`."""
        place = self._place(path, member)
        key = path[-1]
        if isinstance(place, list):
            return place, self._index(key, len(place), member)
        if key not in place:
            self._fail(member, f"leads nowhere: there is no {_quoted(key)}")
        return place, key

    def _place(self, path: Steps, member: str) -> Any:
        """Return the object or list that contains the value at `path`, or will contain it."""
        place: Any = self.root
        for step in path[:-1]:
            if isinstance(place, list):
                place = place[self._index(step, len(place), member)]
            elif isinstance(place, dict) and step in place:
                place = place[step]
            else:
                self._fail(member, f"leads nowhere: there is no {_quoted(step)}")
        if not isinstance(place, dict | list):
            self._fail(member, f"leads nowhere: nothing can hold {_quoted(path[-1])}")
        return place

    def _index(self, step: str, length: int, member: str) -> int:
        if not _INDEX.fullmatch(step) or int(step) >= length:
            self._fail(member, f"leads nowhere: there is no entry {_quoted(step)}")
        return int(step)

    def _bound(self, value: Any, path: Steps) -> None:
        """Bound the size and depth of copies. Repeated copies grow exponentially otherwise."""
        self.copied += len(msgspec.json.encode(value))
        if self.copied > COPIED_MAX:
            self._fail("from", f"asks for more than {COPIED_MAX} bytes to be copied")
        if len(path) + _depth(value) > 2 * STEPS_MAX:
            self._fail("path", "would nest values too deep")

    def _fail(self, member: str, detail: str) -> Never:
        raise PatchFailed(pointer_to(self.at, member), detail)


_DEEDS: Mapping[str, Callable[[_Work, PatchOperation], None]] = {
    "add": _Work.add,
    "remove": _Work.remove,
    "replace": _Work.replace,
    "move": _Work.move,
    "copy": _Work.copy,
    "test": _Work.test,
}


def _operation(entry: Any, at: str, faults: ErrorList) -> PatchOperation:
    """Return the operation at `at`. Its faults are added to `faults`."""
    op = entry.get("op") if isinstance(entry, dict) else None
    needs = _NEEDS.get(op) if isinstance(op, str) else None
    if not isinstance(entry, dict):
        faults.add(at, "must be an object with op and path")
    elif needs is None:
        faults.add(pointer_to(at, "op"), f"must be one of {', '.join(_NEEDS)}")
    else:
        path, source = (
            _steps(entry.get(member), pointer_to(at, member), faults) if member in needs else ()
            for member in ("path", "from")
        )
        if "value" in needs and "value" not in entry:
            faults.add(pointer_to(at, "value"), f"is needed to {op}")
        return PatchOperation(at, str(op), path, source, entry.get("value"))
    return PatchOperation(at, "", (), (), None)


def _steps(pointer: Any, at: str, faults: ErrorList) -> Steps:
    """Return the steps of a JSON Pointer. Its faults are added to `faults`."""
    if not isinstance(pointer, str) or (pointer and pointer[0] != "/"):
        faults.add(at, 'must be a JSON Pointer such as "/tags/0"')
    elif _BAD_ESCAPE.search(pointer):
        faults.add(at, "may hold ~ only as ~0, and / in a name as ~1")
    elif pointer.count("/") > STEPS_MAX:
        faults.add(at, f"may have {STEPS_MAX} steps")
    else:
        return tuple(s.replace("~1", "/").replace("~0", "~") for s in pointer.split("/"))
    return ("",)


def _depth(value: Any) -> int:
    """Return the nesting depth of a value. Iterative, so deep nesting cannot exhaust the stack."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [
            inner for item in level for inner in (item.values() if isinstance(item, dict) else item)
        ]
    return depth


def _quoted(step: str) -> str:
    return f"“{step[:80]}”"
