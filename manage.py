#!/usr/bin/env python3
"""Django's command line for NeuralFlow."""

import os
import sys

from neuralflow import own_environment

if __name__ == "__main__":
    own_environment.enter()
    from django.core.management import execute_from_command_line

    os.umask(0o077)  # the database that a command makes is its owner's to read
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "neuralflow.settings")
    execute_from_command_line(sys.argv)
