"""What stands in addresses, of pages and of the API."""

import re

from django.urls import register_converter


class RecordId:
    """A record's id, in the one way to write it: two addresses are never the same record."""

    regex = "[1-9][0-9]{0,17}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


def record_id_of(text: str) -> int | None:
    """The id that a parameter names, written as in an address; None where it is none."""
    return int(text) if re.fullmatch(RecordId.regex, text) else None


register_converter(RecordId, "record_id")
