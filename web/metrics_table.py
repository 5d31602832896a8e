"""A table of models with their most common metrics as columns."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from web.charts import is_line
from web.numbers import is_number, number_text, percent_text
from web.presenters import RecordRow

COLUMNS_MAX: Final = 4  # metric columns


@dataclass(frozen=True)
class ModelRow:
    """A model and its values in the metric columns. A missing value is ""."""

    row: RecordRow
    accuracy: str
    metrics: list[str]


@dataclass(frozen=True)
class ModelTable:
    """The models of a page, and the names of the metric columns."""

    names: list[str]
    rows: list[ModelRow]

    @property
    def projects(self) -> bool:
        """True if any model belongs to a project."""
        return any(model.row.project for model in self.rows)


def model_table(rows: Sequence[RecordRow]) -> ModelTable:
    """Return the table of the models. For a list of values, the last one is shown."""
    metrics = [_latest(row.record.get("performance_metrics")) for row in rows]
    common = Counter(name for values in metrics for name in values)
    names = [name for name, _count in common.most_common(COLUMNS_MAX)]
    return ModelTable(
        names,
        [
            ModelRow(
                row,
                _percent(row.record.get("accuracy")),
                [_number(values.get(name)) for name in names],
            )
            for row, values in zip(rows, metrics, strict=True)
        ],
    )


def _latest(metrics: object) -> dict[str, int | float]:
    latest: dict[str, int | float] = {}
    for name, value in metrics.items() if isinstance(metrics, Mapping) else ():
        last: Any = value[-1] if is_line(value) else value
        if is_number(last):
            latest[str(name)] = last
    return latest


def _percent(value: Any) -> str:
    return percent_text(value) if is_number(value) else ""


def _number(value: Any) -> str:
    return number_text(value) if is_number(value) else ""
