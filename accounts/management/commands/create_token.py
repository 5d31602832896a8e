from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import ApiToken, User
from accounts.tokens import EVERYTHING, SCOPES, TOKENS_MAX, TooManyTokens, create_token, lifetime_of
from workspace.timestamps import format_utc


class Command(BaseCommand):
    help = "Makes a token for the API and prints it. It is shown this once and kept nowhere."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", help="user name or e-mail address")
        parser.add_argument("--name", default="", help="what the token is for")
        parser.add_argument(
            "--scope",
            action="append",
            choices=SCOPES,
            help="what it may do; may be repeated; everything by default",
        )
        parser.add_argument(
            "--expires", help="how long it is valid: 12h, 90d, 52w; until revoked by default"
        )

    def handle(
        self,
        *args: Any,
        user: str,
        name: str,
        scope: list[str] | None,
        expires: str | None,
        **options: Any,
    ) -> None:
        owner = account_named(user)
        longest = ApiToken._meta.get_field("name").max_length
        if longest is not None and len(name) > longest:
            raise CommandError(f"The name may have {longest} characters.")
        try:
            lifetime = lifetime_of(expires) if expires else None
            token, text = create_token(owner, name, scopes=scope or EVERYTHING, lifetime=lifetime)
        except TooManyTokens:
            raise CommandError(f"{user} has {TOKENS_MAX} tokens. Revoke one first.") from None
        except ValueError as fault:
            raise CommandError(f"--expires: {fault}") from None
        until = (
            f"valid until {format_utc(token.expires_at)}" if token.expires_at else "without expiry"
        )
        self.stderr.write(
            f"A token for {owner.get_username()}, {until}; "
            f"scopes: {' '.join(token.scopes)}. Keep it now: it cannot be shown again."
        )
        self.stdout.write(text)


def account_named(name: str, *, active: bool = True) -> User:
    """Return the account with this user name, or this address if it has an @.

    Raises `CommandError` if there is none or several, and, with `active`, for an inactive one.
    """
    users = list(User.objects.meant_by(name)[:2]) if name else []
    if len(users) > 1:
        raise CommandError(f"{name!r} means several accounts: use the user name.")
    if not users:
        raise CommandError(f"There is no account with the name or address {name!r}.")
    if active and not users[0].is_active:
        raise CommandError(f"The account {name!r} is not active: its tokens would be refused.")
    return users[0]
