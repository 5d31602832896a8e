"""Read request bodies that are not records, such as an invitation."""

from collections.abc import Mapping
from typing import Any

from api.parsing import read_json
from api.preconditions import refuse_conditions
from api.request import ApiRequest
from workspace.json_values import ErrorList, pointer_to, whole_number
from workspace.schema.validation import InvalidRecord

_KINDS: Mapping[type, str] = {str: "a text", int: "a whole number"}


def read_members(request: ApiRequest, optional: str = "", **kinds: type) -> dict[str, Any]:
    """Return the object in the body, with exactly these members. `optional` may be missing.

    Raises `InvalidRecord` with all faults, and any error of `read_json`.
    """
    refuse_conditions(request)
    body, faults = read_json(request), ErrorList()
    if not isinstance(body, dict):
        faults.add("", f"must be an object with {' and '.join(kinds)}")
        raise InvalidRecord(faults.found)
    for name in body.keys() - kinds.keys():
        faults.add(pointer_to("", name), f"is not taken here; {' and '.join(kinds)} is")
    body |= {name: whole_number(body[name]) for name in body.keys() & kinds if kinds[name] is int}
    for name, kind in kinds.items():
        if name not in body and name != optional:
            faults.add(pointer_to("", name), f"is required; it must be {_KINDS[kind]}")
        elif name in body and type(body[name]) is not kind:
            faults.add(pointer_to("", name), f"must be {_KINDS[kind]}")
    if faults.found:
        raise InvalidRecord(faults.found)
    return body
