"""Authentication of calls, by token or by the session of a page, and scopes of tokens.

The API knows no accounts. `use_tokens` hands in the service that finds tokens.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Protocol

from django.contrib.auth import get_user
from django.http import HttpRequest, HttpResponse, QueryDict
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.functional import SimpleLazyObject

from api.operation import Operation
from api.problems import CsrfFailed, InsufficientScope, NotAuthenticated, TooManyBadTokens
from api.request import ApiRequest
from workspace.actor import Actor

_CHALLENGE = 'Bearer realm="NeuralFlow"'


@dataclass(frozen=True)
class Credentials:
    """A valid token: its owner, its id, and the scopes that it permits."""

    user_id: int
    token_id: str
    scopes: Collection[str]
    load_user: Callable[[], Any]


class TokenService(Protocol):
    """The tokens of the installation."""

    def find(self, token: str) -> Credentials | None:
        """Return the credentials of a valid token of an active account, or None."""

    def count_bad_token(self, request: HttpRequest) -> int:
        """Log and count a bad token. Return the seconds to wait after too many, or 0."""


_service: list[TokenService] = []


def use_tokens(service: TokenService) -> None:
    """Authenticate calls by the tokens of this service."""
    _service[:] = [service]


def _tokens() -> TokenService:
    return _service[0]


def authenticate(request: ApiRequest) -> None:
    """Set `request.user`, `caller` and `scopes`, or raise `NotAuthenticated`.

    An Authorization header decides alone. Otherwise a call with a bad token would succeed if the
    browser also sent a session cookie.
    """
    authorization = request.META.get("HTTP_AUTHORIZATION")
    if authorization is not None:
        credentials = _credentials_of(request, authorization)
        # Most calls need only the id, so the account is loaded lazily.
        request.user = SimpleLazyObject(credentials.load_user)
        request.caller = Actor(credentials.user_id, credentials.token_id)
        request.scopes = credentials.scopes
        return
    if not (request.user.is_authenticated and request.user.is_active):
        raise NotAuthenticated(
            "Send a token (Authorization: Bearer nf_...), or sign in first.",
            {"WWW-Authenticate": _CHALLENGE},
        )
    _check_origin(request)
    request.caller, request.scopes = Actor(request.user.pk), ("write",)


def is_still_known(request: ApiRequest) -> bool:
    """Return whether the caller's token or session is still valid.

    For responses that take long, during which it may be revoked.
    """
    authorization = request.META.get("HTTP_AUTHORIZATION")
    if authorization is None:
        request.session = type(request.session)(request.session.session_key)
        return bool(get_user(request).pk == request.user.pk)
    credentials = _tokens().find(authorization.partition(" ")[2].strip())
    return credentials is not None and credentials.user_id == request.caller.user_id


def refuse_if_ended(request: ApiRequest) -> None:
    """Raise `NotAuthenticated` if the call's token or session is no longer valid."""
    if not is_still_known(request):
        raise NotAuthenticated(
            "The token or the session of this call has ended.", {"WWW-Authenticate": _CHALLENGE}
        )


def _credentials_of(request: ApiRequest, authorization: str) -> Credentials:
    scheme, _, text = authorization.partition(" ")
    credentials = _tokens().find(text.strip()) if scheme.lower() == "bearer" else None
    if credentials is None:
        wait = _tokens().count_bad_token(request)
        if wait:
            raise TooManyBadTokens("Stop, and look at the token.", {"Retry-After": str(wait)})
        challenge = f'{_CHALLENGE}, error="invalid_token"'
        raise NotAuthenticated(
            "This is no valid token of an active account.", {"WWW-Authenticate": challenge}
        )
    return credentials


def check_scope(request: ApiRequest, operation: Operation) -> None:
    """Raise `InsufficientScope` if the token does not permit the operation (RFC 6750, 3.1)."""
    if not operation.allowed_by(request.scopes):
        challenge = f'{_CHALLENGE}, error="insufficient_scope", scope="{operation.scopes[0]}"'
        raise InsufficientScope(
            f"This token is not for that. One with {' or '.join(operation.scopes)} is.",
            {"WWW-Authenticate": challenge},
        )


class _OriginCheck(CsrfViewMiddleware):
    """Django's CSRF check, raising `CsrfFailed` instead of rendering a page."""

    def _reject(self, request: HttpRequest, reason: str) -> HttpResponse:
        raise CsrfFailed(f"{reason} Send the token that our pages' forms hold as X-CSRFToken.")


def _check_origin(request: HttpRequest) -> None:
    # The check would look for the token in a form first, and read a body of any size for that. The
    # API accepts no forms.
    request.POST = QueryDict()
    _OriginCheck(_accepted).process_view(request, _accepted, (), {})


def _accepted(request: HttpRequest) -> HttpResponse:
    """A view that the CSRF check requires. Its response is discarded."""
    return HttpResponse()
