from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from accounts.joining import link_of, new_invitation


class Command(BaseCommand):
    help = (
        "Prints a link that opens one account within seven days, for where NEURALFLOW_SIGNUP is"
        " invite. Give it to one person."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.NEURALFLOW_SIGNUP != "invite":
            self.stderr.write(
                f"NEURALFLOW_SIGNUP is {settings.NEURALFLOW_SIGNUP}: no invitation is asked for."
            )
        self.stdout.write(f"{settings.NEURALFLOW_PUBLIC_URL}{link_of(new_invitation())}")
