"""Create the tables, a user with a token, and their tasks; print the token."""

import os
import sys

import django


def main(tasks: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.drf.settings")
    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from rest_framework.authtoken.models import Token

    from benchmarks.drf.models import Task
    from benchmarks.peers import task

    call_command("migrate", run_syncdb=True, verbosity=0)
    user = User.objects.create_user("alice")
    Task.objects.bulk_create(Task(user=user, **task(number)) for number in range(tasks))
    print(Token.objects.create(user=user).key)


if __name__ == "__main__":
    main(int(sys.argv[1]))
