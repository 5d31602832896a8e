"""Remove expired sessions, tokens, limits, cached values and invitations. Maintenance runs it."""

from typing import Any

from django.core.management.base import BaseCommand

from accounts.expired import remove_expired
from utils.json_storage import json_storage


class Command(BaseCommand):
    help = "Removes expired sessions, tokens, log-in limits, cached values and invitations."

    def handle(self, *args: Any, **options: Any) -> str:
        removed = remove_expired(json_storage, json_storage.clock())
        return ", ".join(f"{count} {name}" for name, count in removed._asdict().items())
