"""The OpenAPI 3.1 document, generated from the URLs and operations of the API.

It repeats nothing: paths come from the URL patterns, methods and responses from the operations,
schemas from the table, statuses of problems from `problems`.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver

from api.endpoint import Endpoint
from api.openapi_components import COMPONENTS
from api.operation import JSON_PATCH, PROBLEM, Answer, Operation, Parameter, ref
from api.problems import PROBLEMS
from api.responses import SEQUENCE
from utils.middleware import API_PREFIX
from workspace.schema.json_schema import DIALECT

Json = dict[str, Any]

_ABOUT = """\
Everything that a person owns in NeuralFlow, for programs. JSON in, JSON out, UTF-8.

Every address that takes GET takes HEAD, and every address takes OPTIONS. An address ends with a \
slash; reading without it is sent on. Unknown parameters are refused, and so are unknown fields.

Send `Authorization: Bearer nf_...`, or call from a page of this site with its session; then POST, \
PUT, PATCH and DELETE need the CSRF token in `X-CSRFToken`.

What is refused changes nothing, costs nothing, and is told as problem details (RFC 9457)."""

_CONVERTERS: Mapping[str, Json] = {
    "RecordId": {"type": "integer", "minimum": 1, "maximum": 10**18 - 1},
}

# Response headers by name. Those of _ALWAYS are on every response.
HEADERS: Mapping[str, Json] = {
    "Location": {
        "description": "Where what was made is.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Allow": {
        "description": "The methods that the address takes.",
        "required": True,
        "schema": {"type": "string"},
    },
    "WWW-Authenticate": {
        "description": "How to say who calls (RFC 6750).",
        "required": True,
        "schema": {"type": "string", "pattern": '^Bearer realm="NeuralFlow"'},
    },
    "Retry-After": {
        "description": "In how many seconds to try again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
    "ETag": {
        "description": "The version of what is answered; strong (RFC 9110, section 8.8.3).",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[^"]+"$'},
    },
    "Content-Disposition": {
        "description": "The name that a file may be kept under (RFC 6266).",
        "required": True,
        "schema": {"type": "string"},
    },
    "Link": {
        "description": "The first page of a list and the next one, by their relation (RFC 8288).",
        "schema": {"type": "string"},
    },
    "Content-Location": {
        "description": "The address of what is answered (RFC 9110, section 8.7).",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Preference-Applied": {
        "description": "`return=minimal` where the record is left out, as preferred (RFC 7240).",
        "schema": {"const": "return=minimal"},
    },
    "Idempotency-Replayed": {
        "description": "`true` where this is the answer that was kept under the Idempotency-Key.",
        "schema": {"const": "true"},
    },
    SEQUENCE: {
        "description": "The number of the change that the call made, as the feed of changes tells"
        " it; `undo/` takes it back. Where nothing was changed, it is left out.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "RateLimit-Policy": {
        "description": "The limits of the caller: q calls in w seconds"
        " (draft-ietf-httpapi-ratelimit-headers-10).",
        "required": True,
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": "What is left of each limit: r calls, for the next t seconds.",
        "required": True,
        "schema": {"type": "string"},
    },
    "X-Request-ID": {
        "description": "Names the request: tell it to the operator when you ask for help.",
        "required": True,
        "schema": {"type": "string", "format": "uuid"},
    },
}
_ALWAYS = ("X-Request-ID",)
_TO_CALLERS = ("RateLimit-Policy", "RateLimit")
_OF_STATUS: Mapping[int, tuple[str, ...]] = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    429: ("Retry-After",),
}

# Request headers. Which operations accept which follows from their responses. Entity tags and keys
# have no examples, because a client that sends a fixed one would get 412 or 409.
_TAGS = r'^(\*|(W/)?"[!#-~]*"([ \t]*,[ \t]*(W/)?"[!#-~]*")*)$'
REQUEST_HEADERS: Mapping[str, Json] = {
    "If-Match": {
        "description": "The ETag that the record must have, or the call is refused with 412.",
        "schema": {"type": "string", "pattern": _TAGS},
    },
    "If-None-Match": {
        "description": "ETags of what you know: a read is then answered with 304. A change is"
        " refused with 412 where the record has one of them, and with * where there is one.",
        "schema": {"type": "string", "pattern": _TAGS},
    },
    "Idempotency-Key": {
        "description": "Names the call for 24 hours. Made again with the key, it is answered as"
        " before and not done again.",
        "schema": {"type": "string", "pattern": "^[!#-~]{1,255}$"},
    },
    "Prefer": {
        "description": "`return=minimal` leaves the record out of the answer (RFC 7240).",
        "schema": {"type": "string", "examples": ["return=minimal"]},
    },
}

_SECURITY_SCHEMES: Json = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "nf_...",
        "description": "A token made on your settings page, or by `manage.py create_token USER`.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": settings.SESSION_COOKIE_NAME,
        "description": "The session of who signed in on a page of this site.",
    },
    "csrf": {
        "type": "apiKey",
        "in": "header",
        "name": "X-CSRFToken",
        "description": "Beside a session: proof that a call which changes something is its own.",
    },
}


class DocumentedPath(NamedTuple):
    """A URL of the API: its template, the schemas of its parameters, its name and view."""

    template: str
    parts: Mapping[str, Json]
    name: str
    endpoint: Endpoint


def addresses() -> Iterator[DocumentedPath]:
    """Yield every URL of the API in the order of the URL patterns."""
    for route, pattern in _patterns(get_resolver(), "/"):
        if route.startswith(API_PREFIX) and pattern.name:
            yield _address(route, pattern)


def _patterns(resolver: URLResolver, before: str) -> Iterator[tuple[str, URLPattern]]:
    for entry in resolver.url_patterns:
        route = before + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield route, entry
        else:
            yield from _patterns(entry, route)


def _address(route: str, pattern: URLPattern) -> DocumentedPath:
    converters = pattern.pattern.converters
    parts = {
        name: _CONVERTERS.get(type(converter).__name__) or _pattern_of(converter.regex)
        for name, converter in converters.items()
    }
    template = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)
    view = pattern.callback
    assert isinstance(view, Endpoint), f"{template} is no endpoint(...) of operations"
    return DocumentedPath(template, parts, str(pattern.name), view)


def _pattern_of(regex: str) -> Json:
    return {"type": "string", "pattern": f"^({regex})$"}


@cache
def document() -> Json:
    """Return the OpenAPI document. It is equal for all clients, so caches may store it."""
    all_addresses = list(addresses())
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": DIALECT,
        "info": {
            "title": "NeuralFlow",
            "version": "1",
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "This server"}],
        "tags": [{"name": area} for area in dict.fromkeys(_areas(all_addresses))],
        "paths": {address.template: _path(address, all_addresses) for address in all_addresses},
        "components": {
            "schemas": dict(COMPONENTS),
            "responses": {
                f"Problem{status}": _problem(status)
                for status in sorted({problem.status for problem in PROBLEMS.values()})
            },
            "headers": dict(HEADERS),
            "parameters": {
                name: {"name": name, "in": "header", **header}
                for name, header in REQUEST_HEADERS.items()
            },
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def _areas(found: list[DocumentedPath]) -> Iterator[str]:
    for address in found:
        for operation in address.endpoint.operations.values():
            yield _tag(operation)


def _tag(operation: Operation) -> str:
    return operation.area or ("about the API" if operation.open else "everything")


# The web server refuses these before the API sees them (RFC 9110, section 15.5.15).
_TOO_LONG: Json = {
    "description": "The address has more than 4,094 characters.",
    "content": {"text/html": {"schema": {"type": "string"}}},
}


# Paths


def _path(address: DocumentedPath, found: list[DocumentedPath]) -> Json:
    parts = [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name, schema in address.parts.items()
    ]
    operations = {
        method.lower(): _operation(method, operation, address, found)
        for method, operation in address.endpoint.operations.items()
    }
    return ({"parameters": parts} if parts else {}) | operations


def _operation(
    method: str, operation: Operation, address: DocumentedPath, found: list[DocumentedPath]
) -> Json:
    described: Json = {
        "operationId": _operation_id(method, address),
        "summary": operation.summary,
        "tags": [_tag(operation)],
        "security": _security(method, operation),
    }
    if description := _description(operation):
        described["description"] = description
    headers = [
        {"$ref": f"#/components/parameters/{header}"} for header in _headers(method, operation)
    ]
    if parameters := [*map(_parameter, operation.parameters), *headers]:
        described["parameters"] = parameters
    if operation.bodies:
        content = {media_type: {"schema": body} for media_type, body in operation.bodies.items()}
        described["requestBody"] = {"required": True, "content": content}
    links = _links(address, found) if method == "POST" else {}
    described["responses"] = {
        str(status): _answer(status, answer, operation, links if status == 201 else {})
        for status, answer in operation.answers.items()
    }
    if address.parts:  # another user's record, or an id out of range
        described["responses"].setdefault("404", {"$ref": "#/components/responses/Problem404"})
    if operation.parameters:
        described["responses"]["414"] = _TOO_LONG
    return described


def _operation_id(method: str, address: DocumentedPath) -> str:
    return f"{method.lower()}_{address.name.removeprefix('api_')}"


def _description(operation: Operation) -> str:
    costs = "" if operation.counted else "Costs no call of the quota."
    scopes = " or ".join(f"`{scope}`" for scope in operation.scopes)
    needs = "" if operation.open else f"A token needs the scope {scopes}."
    return " ".join(filter(None, (operation.description, needs, costs)))


def _security(method: str, operation: Operation) -> list[Json]:
    if operation.open:
        return []
    session: Json = {"session": []}
    if method not in {"GET", "HEAD", "OPTIONS"}:
        session["csrf"] = []
    return [{"token": []}, session]


def _headers(method: str, operation: Operation) -> Iterator[str]:
    """Yield the request headers of an operation, other than those for authentication and body."""
    if method != "POST" and 412 in operation.answers:
        yield "If-Match"
    if method != "POST" and {304, 412} & operation.answers.keys():
        yield "If-None-Match"
    if (method in {"POST", "PATCH"} and 201 in operation.answers) or JSON_PATCH in operation.bodies:
        yield "Idempotency-Key"
    if 204 in operation.answers and "Preference-Applied" in operation.answers[204].headers:
        yield "Prefer"


def _parameter(parameter: Parameter) -> Json:
    return {
        "name": parameter.name,
        "in": "query",
        **({"required": True} if parameter.required else {}),
        "description": parameter.description,
        "schema": parameter.schema,
    }


def _links(address: DocumentedPath, found: list[DocumentedPath]) -> Json:
    """Return links from the created record to its operations (OpenAPI 3.1, section 4.8.20)."""
    template = re.compile(re.escape(address.template) + r"\{(\w+)\}/")
    target = next(
        ((candidate, at) for candidate in found if (at := template.fullmatch(candidate.template))),
        None,
    )
    if target is None:
        return {}
    parts = {part: f"$request.path.{part}" for part in address.parts}
    parts[target[1][1]] = "$response.body#/id"
    return {
        method.lower(): {"operationId": _operation_id(method, target[0]), "parameters": parts}
        for method in target[0].endpoint.operations
    }


# Responses


def _answer(status: int, answer: Answer, operation: Operation, links: Json) -> Json:
    if answer.media_type == PROBLEM and answer.schema == ref("Problem") and not answer.headers:
        return {"$ref": f"#/components/responses/Problem{status}"}
    response: Json = {"description": answer.description}
    limits = () if operation.open else _TO_CALLERS
    made = (SEQUENCE,) if operation.writes and status < 300 else ()
    names = (*_ALWAYS, *limits, *made, *_OF_STATUS.get(status, ()), *answer.headers)
    response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    if answer.schema is not None:
        response["content"] = {answer.media_type: {"schema": answer.schema}}
    if links:
        response["links"] = links
    return response


def _problem(status: int) -> Json:
    """Return the response shared by all problems of a status, with an example of each type."""
    kinds = {problem.slug: problem for problem in PROBLEMS.values() if problem.status == status}
    titles = ". ".join(dict.fromkeys(problem.title for problem in kinds.values()))
    of_status = {
        "status": {"const": status},
        "type": {"enum": [f"/problems/{slug}" for slug in kinds]},
    }
    names = (*_ALWAYS, *_OF_STATUS.get(status, ()))
    return {
        "description": titles,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": {
            PROBLEM: {
                "schema": {"allOf": [ref("Problem")], "properties": of_status},
                "examples": {slug: _example(kind.slug, kind) for slug, kind in kinds.items()},
            }
        },
    }


def _example(slug: str, problem: Any) -> Json:
    value: Json = {
        "type": f"/problems/{slug}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail or f"{problem.title}.",
        "instance": "urn:uuid:6f9c1d0e-2a57-4a0e-9d6b-2f3f0f6f8a11",
    }
    if slug == "malformed-body":
        value |= {"line": 1, "column": 17}
    if slug == "invalid-record":
        value["errors"] = [{"pointer": "/title", "detail": "is required"}]
    return {"value": value}
