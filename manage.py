#!/usr/bin/env python3
"""Django's command line for NeuralFlow."""

import os
import sys

from neuralflow import own_environment

if __name__ == "__main__":
    own_environment.enter()
    from django.core.management import execute_from_command_line

    from nf import output

    os.umask(0o077)  # files such as a new database must be readable by their owner only
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "neuralflow.settings")
    output.guard("backslashreplace")
    try:
        execute_from_command_line(sys.argv)
        sys.stdout.flush()
    except output.Unwritable as fault:  # `manage.py store_dump | head`
        sys.exit(output.give_up(fault, "manage.py"))
