"""Classify a model's metrics by display: line charts, bars, or text.

Charts are decoration: their values are always on the page as text, too.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from web.numbers import Number, is_number, number_list, number_text

DRAWN_MAX = 24  # charts per page; further metrics are in the table
POINTS_MAX = 120  # points per line; more would not be visible
VALUES_TOLD_MAX = 100  # values of a line that are listed as text

# The size of a line chart in SVG units, and the margin for its stroke.
WIDTH, HEIGHT, MARGIN = 320, 96, 6


def leaves(value: object, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaf values of nested objects with their paths: "validation.f1"."""
    if isinstance(value, Mapping) and (value or not name):
        for key, below in value.items():
            yield from leaves(below, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


@dataclass(frozen=True)
class ChartPart:
    """A number from 0 to 1 or from 0 to 100 as a bar."""

    name: str
    value: str
    whole: int
    share: float  # per cent


@dataclass(frozen=True)
class Curve:
    """A list of numbers as a line chart, with its text alternative."""

    name: str
    count: int
    first: str
    last: str
    lowest: str
    highest: str
    points: str  # for an SVG polyline
    end: tuple[float, float]  # the last point
    values: str  # the first VALUES_TOLD_MAX values
    left: int  # number of further values


@dataclass(frozen=True)
class Metrics:
    """The metrics of a model. `told` holds the values that are shown as text, without a chart."""

    parts: list[ChartPart] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        return bool(self.parts or self.curves or self.told)


def metrics_of(value: object) -> Metrics:
    """Return the metrics in an object. Other values have none."""
    metrics = Metrics()
    for name, leaf in leaves(value if isinstance(value, Mapping) else {}):
        full = len(metrics.parts) + len(metrics.curves) >= DRAWN_MAX
        if not full and is_number(leaf) and 0 <= leaf <= 100:
            metrics.parts.append(part(name, leaf))
        elif not full and is_line(leaf):
            metrics.curves.append(curve(name, leaf))
        else:
            metrics.told[name] = leaf
    return metrics


def part(name: str, value: Number) -> ChartPart:
    """Return a bar. Its maximum is 1 for values up to 1, else 100.

    Files may contain numbers outside that range. Their bars are empty or full.
    """
    maximum = 1 if value <= 1 else 100
    drawn = min(max(value, 0), maximum)
    return ChartPart(name, number_text(value), maximum, round(100 * drawn / maximum, 2))


def is_line(value: object) -> bool:
    """Return whether a value is a non-empty list of numbers."""
    return isinstance(value, Sequence) and bool(value) and all(is_number(item) for item in value)


def curve(name: str, values: Sequence[Number]) -> Curve:
    """Return a line chart of the numbers, scaled between their minimum and maximum."""
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
    """Return the values to draw with their indexes.

    Of many values, the minimum and maximum of each interval are drawn, so that no peak is lost, and
    always the first and the last.
    """
    every = list(enumerate(values))
    if len(every) <= POINTS_MAX:
        return every
    step = -(-2 * len(every) // POINTS_MAX)
    selected = {every[0], every[-1]}
    for start in range(0, len(every), step):
        stretch = every[start : start + step]
        selected |= {min(stretch, key=lambda one: one[1]), max(stretch, key=lambda one: one[1])}
    return sorted(selected)


def _across(place: int, count: int) -> float:
    share = place / (count - 1) if count > 1 else 0.5
    return round(MARGIN + share * (WIDTH - 2 * MARGIN), 1)


def _down(value: Number, lowest: Number, highest: Number) -> float:
    span = _half(highest) - _half(lowest)
    share = (_half(value) - _half(lowest)) / span if span else 0.5
    return round(HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN), 1)


def _half(value: Number) -> float:
    """Return half of a number, so that the difference of two does not overflow.

    Integers of files can exceed every float. They are drawn as the largest one.
    """
    largest = sys.float_info.max
    return float(min(max(value, -largest), largest)) / 2
