"""The gunicorn configuration.

gunicorn --config python:neuralflow.gunicorn_conf neuralflow.wsgi
"""

import errno
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from core import tally
from core.error_log import record_errors
from neuralflow.logging_config import without_links
from neuralflow.request_log import request_log
from neuralflow.settings import (
    HOST,
    LOGGING,
    NEURALFLOW_LOG_REQUESTS,
    NEURALFLOW_MAINTENANCE,
    PORT,
    WORKERS,
)
from neuralflow.ticker import Ticker
from neuralflow.worker import Worker, hold_signals_while_forking, stop_with_the_terminal

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter

_ticker = Ticker()
_figures: list[Path] = []  # the folder of the workers' figures, once the server starts
_SHOWN_HOST = f"[{HOST}]" if ":" in HOST else HOST

bind = f"{_SHOWN_HOST}:{PORT}"
worker_class = Worker
workers = WORKERS
threads = 8
umask = 0o077
# Each worker opens the store itself. With preloading, a fork would share its locks.
preload_app = False
graceful_timeout = 10  # seconds
# Larger requests get 414 or 431. neuralflow.request_buffer has the time limits.
limit_request_line = 4094  # bytes
limit_request_fields = 64
limit_request_field_size = 8190  # bytes
control_socket_disable = True

# utils.middleware alone decides which X-Forwarded-… headers to trust. By default, gunicorn would
# trust those of every process on this machine.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}

# Gunicorn's startup messages would follow ours with the URL. Warnings and errors are still logged.
loglevel = "warning"
logconfig_dict = {
    **LOGGING,
    "loggers": {
        "gunicorn.error": {"level": "WARNING", "handlers": [], "propagate": True},
        # It would warn about every HEAD request, because Django builds a body for them.
        "gunicorn.http.wsgi": {"level": "ERROR"},
    },
}


def on_starting(server: "Arbiter") -> None:
    """Exit with a clear message if the address is not available.

    Gunicorn would retry for five seconds and report less.
    """
    family = socket.AF_INET6 if ":" in HOST else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, PORT))
            probe.listen(1)
        except OSError as fault:
            taken = fault.errno == errno.EADDRINUSE
            reason = "the port is taken; set PORT to another one" if taken else fault.strerror
            print(f"NeuralFlow cannot listen at {bind}: {reason}.", file=sys.stderr)
            sys.exit(1)
    hold_signals_while_forking()
    _figures.append(Path(tempfile.mkdtemp(prefix="neuralflow-figures-")))
    tally.share_in(_figures[0])


def post_fork(server: "Arbiter", worker: Worker) -> None:
    """Set the worker's umask, so that only the owner can read files such as mail in a folder.

    Gunicorn applies `umask` to its sockets only.
    """
    os.umask(umask)
    is_on = NEURALFLOW_LOG_REQUESTS and LOGGING["root"]["level"] in {"DEBUG", "INFO"}
    request_log.configure(is_on=is_on, for_people=sys.stderr.isatty())


def post_worker_init(server: Worker) -> None:
    """Start the background work of a worker, now that the application is loaded."""
    from utils.json_storage import json_storage

    record_errors(json_storage.folder, without_links)
    if NEURALFLOW_MAINTENANCE:
        from core.maintenance.scheduler import Scheduler  # it needs the loaded settings

        scheduler = Scheduler()
        _ticker.start(scheduler.tick, stopping=scheduler.stop)
    else:
        _ticker.start()


def worker_exit(server: "Arbiter", worker: Worker) -> None:
    """Stop the background work of a worker, and write its last figures."""
    _ticker.stop()


def child_exit(server: "Arbiter", worker: Worker) -> None:
    """Add the figures of a worker that ended to those of the server."""
    tally.end_of(worker.pid)


def on_exit(server: "Arbiter") -> None:
    """Remove the figures, which begin at zero with each start."""
    for folder in _figures:
        shutil.rmtree(folder, ignore_errors=True)


def when_ready(server: "Arbiter") -> None:
    """Print the URL once the sockets listen."""
    stop_with_the_terminal(server)
    port = server.LISTENERS[0].getsockname()[1]  # chosen by the system for PORT=0
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(_SHOWN_HOST, _SHOWN_HOST)
    print(f"NeuralFlow is running at http://{host}:{port} (Ctrl-C stops it)", flush=True)
