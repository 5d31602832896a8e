from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q

from accounts.models import ApiToken, User
from accounts.tokens import create_token


class Command(BaseCommand):
    help = "Makes a token for the API and prints it. It is shown this once and kept nowhere."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", help="user name or e-mail address")
        parser.add_argument("--name", default="", help="what the token is for")

    def handle(self, *args: Any, user: str, name: str, **options: Any) -> None:
        owner = _find(user)
        longest = ApiToken._meta.get_field("name").max_length
        if longest is not None and len(name) > longest:
            raise CommandError(f"The name may have {longest} characters.")
        _, text = create_token(owner, name)
        self.stderr.write(
            f"A token for {owner.get_username()}. Keep it now: it cannot be shown again."
        )
        self.stdout.write(text)


def _find(name: str) -> User:
    """The account of that user name, or else of that e-mail address."""
    people = User.objects.filter(Q(username__iexact=name) | (Q(email__iexact=name) & ~Q(email="")))
    found = sorted(people, key=lambda user: user.username.lower() != name.lower())
    if not found:
        raise CommandError(f"There is no account with the name or address {name!r}.")
    if not found[0].is_active:
        raise CommandError(f"The account {name!r} is not active: its tokens would be refused.")
    return found[0]
