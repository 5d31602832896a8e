"""Gunicorn's worker with threads, and how it hears that it is to stop."""

import os
import signal
from typing import TYPE_CHECKING, Any

from gunicorn.workers.gthread import ThreadWorker

from accounts.waiting import places, places_of

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter

_HELD_BACK = {signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP}


class Worker(ThreadWorker):
    """Stops once it has answered what is under way, however it is told; whoever only waits for
    something to happen is answered at once."""

    def init_process(self) -> None:
        places.limit = places_of(self.cfg.threads)
        super().init_process()

    def init_signals(self) -> None:
        super().init_signals()
        # Ctrl-C and a closed terminal reach every process. The master hears them too and tells
        # its workers; a worker that was told twice at a time could wait for itself.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        # The master's word after Ctrl-C. By itself it would cut off the requests under way.
        signal.signal(signal.SIGQUIT, self.handle_exit)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_BACK)

    def handle_exit(self, sig: int, frame: Any) -> None:
        if not self.booted:
            os._exit(0)  # nothing is under way yet, and loading takes a while
        places.close()
        super().handle_exit(sig, frame)


def hold_signals_while_forking() -> None:
    """A new worker has the handlers of the master until it has its own, and would take the word
    to stop for one to the master. It is to hear it afterwards."""
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_BACK),
    )


def stop_with_the_terminal(server: "Arbiter") -> None:
    """Where a terminal started it, its end stops the server. Gunicorn would load itself anew and
    stay, out of reach. `nohup` and services are no terminals."""

    def stop(number: int, frame: Any) -> None:
        server.signal(signal.SIGTERM, frame)

    if os.isatty(0):
        signal.signal(signal.SIGHUP, stop)
