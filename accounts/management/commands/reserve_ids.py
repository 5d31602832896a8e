"""Raise the sequence of account ids above all owners in the data folder, before any sign-up."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.models import step_over_old_owners
from docstore import StoreError


class Command(BaseCommand):
    help = "Makes the ids of new accounts greater than those of all documents in the data folder."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with transaction.atomic():
                step_over_old_owners()
        except StoreError as fault:
            raise CommandError(f"The data folder cannot be read: {fault}") from fault
