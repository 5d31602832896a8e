#!/usr/bin/env python
"""Django's command line for NeuralFlow."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.umask(0o077)  # the database that a command makes is its owner's to read
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "neuralflow.settings")
    execute_from_command_line(sys.argv)
