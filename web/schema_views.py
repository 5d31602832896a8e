"""Publish the JSON Schemas of files, and those of expected model metrics.

Responses are equal for all clients, so shared caches may store them.
"""

import hashlib
from collections.abc import Mapping
from types import MappingProxyType

import msgspec
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import etag, require_safe

from workspace.schema.json_schema import SCHEMAS
from workspace.schema.model_conventions import MODEL_SCHEMAS

_SCHEMAS: Mapping[str, bytes] = MappingProxyType(
    {
        name: msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n"
        for name, schema in {**SCHEMAS, **MODEL_SCHEMAS}.items()
    }
)


def _version(request: HttpRequest, name: str) -> str | None:
    text = _SCHEMAS.get(name)
    return None if text is None else f'"{hashlib.blake2b(text, digest_size=12).hexdigest()}"'


@require_safe
@cache_control(public=True, max_age=3600)
@etag(_version)
def json_schema(request: HttpRequest, name: str) -> HttpResponse:
    """Return a JSON Schema under the URL that is its `$id`."""
    if name not in _SCHEMAS:
        raise Http404
    return HttpResponse(_SCHEMAS[name], content_type="application/schema+json")
