"""The command `neuralflow`: `serve`, and every command of manage.py."""

import os
import sys
from importlib.metadata import version

USAGE = """usage: neuralflow serve            prepare everything, and serve the pages and the API
       neuralflow COMMAND ...      a management command, such as setup_data --backup
       neuralflow help             list the management commands
       neuralflow --version
"""


def main() -> None:
    """Run the command line."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(USAGE, end="")
        return
    if arguments == ["--version"]:
        print(f"neuralflow {version('neuralflow')}")
        return
    os.umask(0o077)  # files such as a new database must be readable by their owner only
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "neuralflow.settings")
    if arguments[0] == "serve":
        if arguments[1:]:
            sys.exit("neuralflow serve takes no arguments. HOST and PORT set its address.")
        _serve()
    _manage(["neuralflow", *arguments])


def _manage(arguments: list[str]) -> None:
    from django.core.management import execute_from_command_line

    from nf import output

    output.guard("backslashreplace")
    try:
        execute_from_command_line(arguments)
        sys.stdout.flush()
    except output.Unwritable as fault:  # `neuralflow store_dump | head`
        sys.exit(output.give_up(fault, "neuralflow"))


def _serve() -> None:
    _manage(["neuralflow", "prepare"])
    configuration = ["--config", "python:neuralflow.gunicorn_conf", "neuralflow.wsgi"]
    # A new process image: the server must not share what preparing has opened.
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *configuration])
