"""The addresses that there are, as the URL resolver has them."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver


def routes() -> dict[str, Any]:
    """The view at each route. A route is written as Django does: the patterns that lead to
    it, joined. Where two views have the same, the first is the one that answers."""
    found: dict[str, Any] = {}
    for route, view in _walk(get_resolver(settings.ROOT_URLCONF), ""):
        found.setdefault(route, view)
    return found


def _walk(resolver: URLResolver, before: str) -> Iterator[tuple[str, Any]]:
    for pattern in resolver.url_patterns:
        route = before + str(pattern.pattern).removeprefix("^")
        if isinstance(pattern, URLPattern):
            yield route, pattern.callback
        else:
            yield from _walk(pattern, route)
