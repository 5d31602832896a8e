"""The tokens of accounts, for the authentication of API calls."""

import logging

from django.http import HttpRequest

from accounts.credentials import known_credentials
from accounts.guards import address_of
from accounts.throttle import bad_tokens
from accounts.tokens import live_token
from api.authentication import Credentials

log = logging.getLogger(__name__)


class ApiTokens:
    """The `TokenService` of this installation."""

    def find(self, token: str) -> Credentials | None:
        row = live_token(token)
        if row is None:
            return None
        known_credentials.note(token, row.user_id)
        return Credentials(row.user_id, str(row.pk), row.scopes, lambda: row.user)

    def count_bad_token(self, request: HttpRequest) -> int:
        address = address_of(request)
        wait = bad_tokens.wait(address)
        request_id = getattr(request, "request_id", "")
        log.warning("A bad token came from %s (request %s)", address, request_id)
        return wait
