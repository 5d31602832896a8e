"""Every address that takes JSON, given what is none, what it does not take, or too much."""

import json
from typing import Any

import pytest
from django.conf import settings

from tests.attacks.counting import Count
from tests.attacks.hostile import ENCODINGS, MALFORMED, MEDIA_TYPES, NO_OBJECTS, UNKNOWN_MEMBERS
from tests.attacks.judge import Attempt
from tests.attacks.targets import JSON_TARGETS, Target
from tests.attacks.world import World

pytestmark = pytest.mark.slow
KIND = "hostile bodies"
every_target = pytest.mark.parametrize("target", JSON_TARGETS, ids=str)


def test_it_finds_what_takes_json() -> None:
    assert len(JSON_TARGETS) >= 9


@every_target
def test_bodies_that_are_no_json(world: World, count: Count, target: Target) -> None:
    attempt = Attempt(world, target)
    for name, body in MALFORMED.items():
        length = {"CONTENT_LENGTH": str(len(body))}  # also of an empty one
        attempt.send(name, 400, "malformed-body", body=body, **length)
    attempt.conclude(count, KIND)


@every_target
def test_json_that_is_not_taken(world: World, count: Count, target: Target) -> None:
    attempt = Attempt(world, target)
    for name, value in NO_OBJECTS.items():
        attempt.send(name, 422, body=_bytes(value))
    taken = world.filled(target.row.sends[target.method])
    for name, value in UNKNOWN_MEMBERS.items():
        attempt.send(name, 422, body=_bytes({**taken, name: value}))
    attempt.conclude(count, KIND)


@every_target
def test_other_media_types_and_encodings(world: World, count: Count, target: Target) -> None:
    body = _bytes(world.filled(target.row.sends[target.method]))
    attempt = Attempt(world, target)
    for media_type in MEDIA_TYPES:
        attempt.send(media_type, 415, "unsupported-media-type", body=body, media_type=media_type)
    for encoding in ENCODINGS:
        attempt.send(
            encoding, 415, "unsupported-media-type", body=body, HTTP_CONTENT_ENCODING=encoding
        )
    attempt.conclude(count, KIND)


@every_target
def test_lengths(world: World, count: Count, target: Target) -> None:
    body = _bytes(world.filled(target.row.sends[target.method]))
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    attempt = Attempt(world, target)
    attempt.send("too long", 413, "body-too-large", body=body + b" " * limit)
    attempt.send("none told", 411, "length-required", body=b"")
    attempt.send("in chunks", 411, body=body, HTTP_TRANSFER_ENCODING="chunked")
    for length in ("1e3", "-1", "+5", "٣", "9" * 19, "9" * 5000):
        attempt.send(length[:20], 400, "incomplete-body", body=body, CONTENT_LENGTH=length)
    attempt.conclude(count, KIND)


def _bytes(value: Any) -> bytes:
    return json.dumps(value).encode()
