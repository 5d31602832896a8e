"""tmp"""
from __future__ import annotations
from pathlib import Path
import pytest
from docstore.backends.files import FilesBackend
from tests.docstore.backends.conformance import BackendConformance
from tests.docstore.layouts import LAYOUTS
class TestFilesBackend(BackendConformance):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> FilesBackend:
        return FilesBackend(tmp_path/"data", LAYOUTS)
