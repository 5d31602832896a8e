"""What an attack on the store has to say in the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

FAULTS_TOLD: Final = 20


@dataclass
class Report:
    """How many cases ran, how many of them lost something, and what a person should know."""

    name: str
    cases: int = 0
    lost: int = 0
    notes: list[str] = field(default_factory=list)

    def lose(self, how: str) -> None:
        """Counts a case that lost something. The first ones are told."""
        self.lost += 1
        if self.lost <= FAULTS_TOLD:
            self.notes.append(how)

    def finish(self, asked: int) -> Report:
        """Prints the last line. Raises where fewer cases ran than were asked for."""
        for note in self.notes:
            print(note)
        print(f"{self.name}: {self.cases} cases, {self.lost} lost", flush=True)
        if self.cases < asked:
            raise AssertionError(f"{self.name}: only {self.cases} of {asked} cases ran")
        return self


class CannotRun(Exception):
    """What a harness needs is not on this machine: the reason, for a person."""
