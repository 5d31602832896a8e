"""What NeuralFlow publishes for programs and everybody: the JSON Schemas of its files,
and of what is usual in models.

The same for all who ask, so that a proxy, a browser and an editor may keep it.
"""

import hashlib
from collections.abc import Mapping
from types import MappingProxyType

import msgspec
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import etag, require_safe

from utils.model_schemas import MODEL_SCHEMAS
from utils.schemas import SCHEMAS

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
    """A JSON Schema, under the address that is its `$id`."""
    if name not in _SCHEMAS:
        raise Http404
    return HttpResponse(_SCHEMAS[name], content_type="application/schema+json")
