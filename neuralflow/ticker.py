"""The background thread of a worker process: it writes the process's figures each second."""

import logging
import threading
from collections.abc import Callable

from core.tally import write_figures

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0


class Ticker:
    """A thread that calls functions each second until it is stopped."""

    def __init__(self, *functions: Callable[[], object]) -> None:
        self._functions = (write_figures, *functions)
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="neuralflow-ticker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, and write the last figures."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=2)
        write_figures()

    def _run(self) -> None:
        while not self._stopped.wait(TICK_SECONDS):
            for function in self._functions:
                try:
                    function()
                except Exception:
                    log.exception("background work failed; the next second tries again")
