"""What attackers send."""

from typing import Any

DEEP = 100_000

# Bodies that are no JSON as it is taken here.
MALFORMED = {
    "empty": b"",
    "blank": b" \n ",
    "truncated": b'{"title": "A',
    "trailing garbage": b'{"title": "A"} x',
    "two values": b'{"title": "A"}{}',
    "trailing comma": b'{"title": "A",}',
    "single quotes": b"{'title': 'A'}",
    "not UTF-8": b'{"title": "\xff"}',
    "overlong UTF-8": b'{"title": "\xc0\xaf"}',
    "surrogate in UTF-8": b'{"title": "\xed\xa0\x80"}',
    "byte order mark": b'\xef\xbb\xbf{"title": "A"}',
    "UTF-16": '{"title": "A"}'.encode("utf-16"),
    "UTF-16 without mark": '{"title": "A"}'.encode("utf-16-le"),
    "UTF-32": '{"title": "A"}'.encode("utf-32"),
    "never closed nesting": b"[" * DEEP,
    "balanced nesting": b"[" * DEEP + b"]" * DEEP,
    "nesting inside a value": b'{"title": "A", "metadata": {"a": '
    + b"[" * DEEP
    + b"]" * DEEP
    + b"}}",
    "objects inside objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "33 levels": b'{"title": "A", "metadata": ' + b"[" * 33 + b"]" * 33 + b"}",
    "integer of 5,000 digits": b'{"title": "A", "metadata": {"n": ' + b"7" * 5000 + b"}}",
    "integer of a million digits": b'{"title": "A", "metadata": {"n": ' + b"7" * 10**6 + b"}}",
    "integer past 2^53": b'{"title": "A", "metadata": {"n": 9007199254740992}}',
    "1e999": b'{"title": "A", "metadata": {"n": 1e999}}',
    "NaN": b'{"title": "A", "metadata": {"n": NaN}}',
    "Infinity": b'{"title": "A", "metadata": {"n": -Infinity}}',
    "lone surrogate": b'{"title": "\\ud800"}',
    "lone surrogate in a key": b'{"title": "A", "metadata": {"\\udc00": 1}}',
    "U+0000 in a text": b'{"title": "A\\u0000"}',
    "control character in a text": b'{"title": "A\\u001b[31m"}',
    "raw control character": b'{"title": "A\x01"}',
    "control character in a key": b'{"title": "A", "metadata": {"a\\nb": 1}}',
    "duplicate keys": b'{"title": "A", "title": "B"}',
    "duplicate keys, one escaped": b'{"title": "A", "\\u0074itle": "B"}',
    "duplicate keys inside": b'{"title": "A", "metadata": {"a": 1, "a": 1}}',
    "quotes without end": b'{"title": "' + b'\\"' * 400_000,
}

# Well-formed, and never what an address takes.
NO_OBJECTS: dict[str, Any] = {
    "a list": [],
    "a list of objects": [{"title": "A"}],
    "null": None,
    "a number": 7,
    "a text": "title",
    "true": True,
}

# Members beside those that an address takes.
UNKNOWN_MEMBERS: dict[str, Any] = {
    "__proto__": {"is_admin": True},
    "constructor": {"prototype": {}},
    "is_admin": True,
    "password": "x",
    "owner": 1,
    "user_id": 99,
    "id": 987_654,
    "revision": 7,
    "created_at": "2020-01-01T00:00:00Z",
    "titel": "misspelt",
    "": 1,
}

MEDIA_TYPES = [
    "",
    "text/plain",
    "text/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/json; charset=latin-1",
    "application/json; charset=utf-16",
    "application/json; version=2",
    "application/json, text/plain",
    "application/jsonp",
    "application/json;" + " " * 8000 + "x",
]

ENCODINGS = ["gzip", "deflate", "br", "identity, gzip", "aes"]

# In place of a number in an address.
NO_NUMBERS = [
    "0",
    "01",
    "-1",
    "+1",
    "1.0",
    "1e0",
    "0x1",
    "1_0",
    "%D9%A3",  # an Arabic three
    "%EF%BC%91",  # a wide one
    "1%00",
    "%00",
    "1%20",
    "1%0a",
    "1%0d%0aSet-Cookie:%20a=b",
    "%2e%2e",
    "..%2f..%2fusers",
    "%252e%252e%252f",
    "1%2f..%2f2",
    "C:%5C1",
    "1;2",
    "1,2",
    "None",
    "*",
    "1'--",
    "%ff%fe",
    "1234567890123456789",
    "12345678901234567890123456",
    "9" * 4000,
]

QUERIES = [
    "no_such_parameter=1",
    "=",
    "owner=1",
    "__proto__[is_admin]=1",
    "%00=1",
    "a\r\nSet-Cookie: a=b",
    "&".join(f"a{number}=1" for number in range(1001)),
]

# For a browser each of these would do something; a page must only show them.
INJECTIONS = [
    "<x-owned>1</x-owned>",
    "</textarea></title></script><x-owned>2</x-owned>",
    "\"><x-owned a='",
    "'><x-owned a=\"",
    "<script>owned()</script>",
    "</script><script>owned()</script>",
    "<img src=x onerror=owned()>",
    '" onmouseover="owned()',
    "javascript:owned()",
    "data:text/html,<script>owned()</script>",
    "{{1337*1337}}{% x-owned %}",
    "${1337*1337}<%= 1337*1337 %>#{1337*1337}",
    "=cmd|' /C calc'!A0",
    "+1-owned()",
    "@SUM(1)",
    "&lt;x-owned&gt;",
    "<!-- x-owned",
    "]]><x-owned>",
]
