"""JSON Merge Patch (RFC 7396), as far as it applies to a record.

A record has all its fields always, so null does not take a field away: it sets it to null, and is
refused where a field may not be null. Inside a field, such as `metadata`, null removes.
"""

from collections.abc import Mapping
from typing import Any


def record_patch(record: Mapping[str, Any], patch: Any) -> Any:
    """The changes that `patch` asks for: objects in it are merged into the record's own."""
    if not isinstance(patch, dict):
        return patch  # no record: the rules of the collection say so
    return {
        name: _merged(record.get(name), value) if isinstance(value, dict) else value
        for name, value in patch.items()
    }


def _merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged
