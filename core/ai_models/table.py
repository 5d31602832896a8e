"""Models as a table: a row for each, with the metrics that most of them have beside each other."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.ai_models.charts import is_line
from core.display import Row
from core.numbers import is_number, number_text, percent_text

COLUMNS_MAX: Final = 4  # of metrics


@dataclass(frozen=True)
class ModelRow:
    """A model, and its values in the columns of the metrics, "" where it has none."""

    row: Row
    accuracy: str
    metrics: list[str]


@dataclass(frozen=True)
class ModelTable:
    """The models of one page, and the names of the metrics."""

    names: list[str]
    rows: list[ModelRow]

    @property
    def projects(self) -> bool:
        """Whether one of them belongs to a project."""
        return any(model.row.project for model in self.rows)


def model_table(rows: Sequence[Row]) -> ModelTable:
    """The table of these models. Of a metric that was noted step by step, the last value counts."""
    metrics = [_latest(row.record.get("performance_metrics")) for row in rows]
    common = Counter(name for found in metrics for name in found)
    names = [name for name, _count in common.most_common(COLUMNS_MAX)]
    return ModelTable(
        names,
        [
            ModelRow(
                row,
                _percent(row.record.get("accuracy")),
                [_number(found.get(name)) for name in names],
            )
            for row, found in zip(rows, metrics, strict=True)
        ],
    )


def _latest(metrics: object) -> dict[str, int | float]:
    found: dict[str, int | float] = {}
    for name, value in metrics.items() if isinstance(metrics, Mapping) else ():
        one: Any = value[-1] if is_line(value) else value
        if is_number(one):
            found[str(name)] = one
    return found


def _percent(value: Any) -> str:
    return percent_text(value) if is_number(value) else ""


def _number(value: Any) -> str:
    return number_text(value) if is_number(value) else ""
