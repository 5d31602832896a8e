"""The background thread of a worker process: it shares figures, and looks for maintenance."""

import logging
import threading
from collections.abc import Callable

from core.tally import write_figures

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0


class Ticker:
    """A thread that calls functions each second until it is stopped."""

    def __init__(self) -> None:
        self._functions: tuple[Callable[[], object], ...] = (write_figures,)
        self._stopping: tuple[Callable[[], object], ...] = (write_figures,)
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(
        self, *functions: Callable[[], object], stopping: Callable[[], object] | None = None
    ) -> None:
        """Start the thread. It also calls these functions; `stop` calls `stopping`."""
        self._functions += functions
        if stopping is not None:
            self._stopping = (stopping, *self._stopping)
        self._thread = threading.Thread(target=self._run, name="neuralflow-ticker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, then what it started, and write the last figures."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=2)
        for function in self._stopping:
            function()

    def _run(self) -> None:
        while not self._stopped.wait(TICK_SECONDS):
            for function in self._functions:
                try:
                    function()
                except Exception:
                    log.exception("background work failed; the next second tries again")
