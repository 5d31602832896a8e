"""List and revoke the API tokens of a user. `create_token` creates one."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet
from django.utils import timezone

from accounts.management.commands.create_token import account_named
from accounts.models import ApiToken
from accounts.tokens import is_valid, revoke
from workspace.timestamps import format_utc


class Command(BaseCommand):
    help = "Lists the API tokens of a person, newest first; with --revoke, ends one or all."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", help="user name or e-mail address")
        parser.add_argument("--revoke", metavar="ID", help="the number of a token, or all")

    def handle(self, *args: Any, user: str, **options: Any) -> None:
        owned = ApiToken.objects.filter(user=account_named(user, active=False))
        if options["revoke"] is None:
            for token in owned:
                self.stdout.write(_line(token))
            return
        ended = [token for token in _chosen(owned, options["revoke"]) if revoke(token)]
        self.stdout.write(f"Revoked {len(ended)} token{'' if len(ended) == 1 else 's'}.")


def _chosen(owned: QuerySet[ApiToken], wanted: str) -> list[ApiToken]:
    chosen = [token for token in owned if wanted in {"all", str(token.pk)}]
    if not chosen and wanted != "all":
        raise CommandError(f"There is no token {wanted!r} of this person.")
    return chosen


def _line(token: ApiToken) -> str:
    state = "valid" if is_valid(token, timezone.now()) else "revoked"
    if state == "revoked" and token.revoked_at is None:
        state = "expired"
    times = (
        f"{word} {format_utc(moment)}"
        for word, moment in (("used", token.last_used_at), ("expires", token.expires_at))
        if moment
    )
    return "  ".join(
        [str(token.pk), f"{token.prefix}…", state, " ".join(token.scopes), *times, token.name]
    )
