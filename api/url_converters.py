"""Path converters for the URLs of pages and the API."""

import re

from django.urls import register_converter


class RecordId:
    """A record's id in canonical decimal form, so that each record has exactly one URL."""

    regex = "[1-9][0-9]{0,17}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


def record_id_of(text: str) -> int | None:
    """Return the id in a parameter, written as in a URL, or None."""
    return int(text) if re.fullmatch(RecordId.regex, text) else None


register_converter(RecordId, "record_id")
