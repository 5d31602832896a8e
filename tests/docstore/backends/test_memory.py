"""The memory backend fulfils the port's contract."""

import pytest

from docstore.backends.memory import MemoryBackend
from tests.docstore.backends.conformance import BackendConformance
from tests.docstore.layouts import LAYOUTS


class TestMemoryBackend(BackendConformance):
    @pytest.fixture
    def backend(self) -> MemoryBackend:
        return MemoryBackend(LAYOUTS)
