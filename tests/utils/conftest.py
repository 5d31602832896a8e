"""The fixtures of the domain's tests, for those of the façade."""

from tests.workspace.conftest import accounts_up_to_99, clock, storage

__all__ = ["accounts_up_to_99", "clock", "storage"]
