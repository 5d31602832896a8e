"""A model's metrics, sorted by how they are drawn: lines, bars, or only told.

What is drawn is decoration: every chart stands beside the same in words and numbers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.numbers import Number, is_number, number_list, number_text

DRAWN_MAX = 24  # charts of one page; further metrics are told in the table
POINTS_MAX = 120  # of a drawn line: more would not be seen
VALUES_TOLD_MAX = 100  # of a line, in words

# The plane of a line in units of its SVG, and the margin that keeps its stroke inside.
WIDTH, HEIGHT, MARGIN = 320, 96, 6


def leaves(value: object, name: str = "") -> Iterator[tuple[str, Any]]:
    """The values in objects within objects, each by its path: "validation.f1"."""
    if isinstance(value, Mapping) and (value or not name):
        for key, below in value.items():
            yield from leaves(below, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


@dataclass(frozen=True)
class Part:
    """A number between 0 and 1, or 0 and 100, as a length."""

    name: str
    value: str
    whole: int
    share: float  # per cent


@dataclass(frozen=True)
class Curve:
    """A list of numbers as a line, and in words what one sees in it."""

    name: str
    count: int
    first: str
    last: str
    lowest: str
    highest: str
    points: str  # of an SVG polyline
    end: tuple[float, float]  # the last point
    values: str  # the first of them
    left: int  # how many further ones there are


@dataclass(frozen=True)
class Metrics:
    """The metrics of a model. `told` are those that are not drawn."""

    parts: list[Part] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        return bool(self.parts or self.curves or self.told)


def metrics_of(value: object) -> Metrics:
    """The metrics in an object of any shape; of what is no object, none."""
    metrics = Metrics()
    for name, one in leaves(value if isinstance(value, Mapping) else {}):
        full = len(metrics.parts) + len(metrics.curves) >= DRAWN_MAX
        if not full and is_number(one) and 0 <= one <= 100:
            metrics.parts.append(part(name, one))
        elif not full and is_line(one):
            metrics.curves.append(curve(name, one))
        else:
            metrics.told[name] = one
    return metrics


def part(name: str, value: Number) -> Part:
    """A number from 0 to 100 as a length: of 1 up to 1, otherwise of 100."""
    whole = 1 if value <= 1 else 100
    return Part(name, number_text(value), whole, round(100 * value / whole, 2))


def is_line(value: object) -> bool:
    """Whether it is a list of numbers, of which there is at least one."""
    return isinstance(value, Sequence) and bool(value) and all(is_number(one) for one in value)


def curve(name: str, values: Sequence[Number]) -> Curve:
    """The numbers as a line from left to right, between their lowest and highest."""
    lowest, highest = min(values), max(values)
    points = [
        (_across(place, len(values)), _down(value, lowest, highest))
        for place, value in _seen(values)
    ]
    return Curve(
        name=name,
        count=len(values),
        first=number_text(values[0]),
        last=number_text(values[-1]),
        lowest=number_text(lowest),
        highest=number_text(highest),
        points=" ".join(f"{x:g},{y:g}" for x, y in points),
        end=points[-1],
        values=number_list(values[:VALUES_TOLD_MAX]),
        left=max(len(values) - VALUES_TOLD_MAX, 0),
    )


def _seen(values: Sequence[Number]) -> list[tuple[int, Number]]:
    """The values that a line is drawn through, with their places. Of many, the lowest and highest
    of each stretch, so that no peak is lost; the first and the last always."""
    every = list(enumerate(values))
    if len(every) <= POINTS_MAX:
        return every
    step = -(-2 * len(every) // POINTS_MAX)
    kept = {every[0], every[-1]}
    for start in range(0, len(every), step):
        stretch = every[start : start + step]
        kept |= {min(stretch, key=lambda one: one[1]), max(stretch, key=lambda one: one[1])}
    return sorted(kept)


def _across(place: int, count: int) -> float:
    share = place / (count - 1) if count > 1 else 0.5
    return round(MARGIN + share * (WIDTH - 2 * MARGIN), 1)


def _down(value: Number, lowest: Number, highest: Number) -> float:
    # Halved first: the distance of two great numbers may be none that a float holds.
    span = highest / 2 - lowest / 2
    share = (value / 2 - lowest / 2) / span if span else 0.5
    return round(HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN), 1)
