"""The report of an attack on the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

FAULTS_TOLD: Final = 20


@dataclass
class Report:
    """The number of cases that ran and of those that lost something, with notes for a person."""

    name: str
    cases: int = 0
    lost: int = 0
    notes: list[str] = field(default_factory=list)

    def lose(self, how: str) -> None:
        """Count a case that lost something. The first ones are noted."""
        self.lost += 1
        if self.lost <= FAULTS_TOLD:
            self.notes.append(how)

    def finish(self, asked: int) -> Report:
        """Print the notes and the result.

        Raises `AssertionError` if fewer cases ran than `asked`.
        """
        for note in self.notes:
            print(note)
        print(f"{self.name}: {self.cases} cases, {self.lost} lost", flush=True)
        if self.cases < asked:
            raise AssertionError(f"{self.name}: only {self.cases} of {asked} cases ran")
        return self


class CannotRun(Exception):
    """This machine lacks what the harness needs. The message says what."""
