"""How gunicorn serves us: `gunicorn --config python:neuralflow.gunicorn neuralflow.wsgi`."""

import errno
import socket
import sys
from typing import TYPE_CHECKING

from neuralflow.settings import HOST, LOGGING, PORT, WORKERS
from neuralflow.worker import Worker, hold_signals_while_forking, stop_with_the_terminal

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter

_SHOWN_HOST = f"[{HOST}]" if ":" in HOST else HOST

bind = f"{_SHOWN_HOST}:{PORT}"
worker_class = Worker
workers = WORKERS
threads = 8
umask = 0o077
# Each worker opens the store itself: its locks must not be shared through a fork.
preload_app = False
graceful_timeout = 10  # seconds
# Past these, 414 and 431; neuralflow.arriving has the limits of time.
limit_request_line = 4094  # bytes
limit_request_fields = 64
limit_request_field_size = 8190  # bytes
control_socket_disable = True

# Only utils.middleware decides whose X-Forwarded-… headers are believed. Gunicorn would by
# itself believe those of every process on this machine.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}

# Its own lines would come after the one that says where we are; warnings and errors still do.
loglevel = "warning"
logconfig_dict = {
    **LOGGING,
    "loggers": {
        "gunicorn.error": {"level": "WARNING", "handlers": [], "propagate": True},
        # It would tell of every HEAD that Django builds a body for, as Django always does.
        "gunicorn.http.wsgi": {"level": "ERROR"},
    },
}


def on_starting(server: "Arbiter") -> None:
    """Ends with one clear sentence when the address cannot be had. Gunicorn would try for five
    seconds and say less."""
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


def when_ready(server: "Arbiter") -> None:
    """Says where NeuralFlow is, now that the sockets listen."""
    stop_with_the_terminal(server)
    port = server.LISTENERS[0].getsockname()[1]  # the one given by the system for PORT=0
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(_SHOWN_HOST, _SHOWN_HOST)
    print(f"NeuralFlow is running at http://{host}:{port} (Ctrl-C stops it)", flush=True)
