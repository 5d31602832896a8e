"""Expectations for the settings and metrics of a model, by model type.

A learning rate of "fast" or an F1 of 91 is probably a typing mistake, so forms warn about it. This
is advice, not validation: programs log whatever they measure, under any key. The expectations are
published as JSON Schemas, such as /schemas/v1/model-regression.json. `model-other` applies to types
that the table does not suggest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from workspace.schema.collections import COLLECTIONS
from workspace.schema.json_schema import DIALECT, FOLDER, Schema

OBJECTS: Final = ("parameters", "hyperparameters", "performance_metrics")

Kind = Literal["number", "integer", "text"]


@dataclass(frozen=True)
class Expectation:
    """The expected value of a key.

    `above` is an exclusive minimum. With `series`, a list of such values is expected, too, with an
    item per step or class.
    """

    kind: Kind
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    series: bool = False

    def fits(self, value: object) -> bool:
        """Return whether a value is as expected."""
        if self.series and isinstance(value, list):
            return all(self._fits_one(item) for item in value)
        return self._fits_one(value)

    def _fits_one(self, value: object) -> bool:
        if self.kind == "text":
            return isinstance(value, str)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (
            (self.kind == "number" or float(value).is_integer())
            and (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.above is None or value > self.above)
        )

    @property
    def schema(self) -> Schema:
        """The expectation as JSON Schema."""
        limits = {
            "minimum": self.minimum,
            "maximum": self.maximum,
            "exclusiveMinimum": self.above,
        }
        keywords = {name: limit for name, limit in limits.items() if limit is not None}
        single: Schema = {"type": "string" if self.kind == "text" else self.kind, **keywords}
        return {"anyOf": [single, {"type": "array", "items": single}]} if self.series else single


class Deviation(NamedTuple):
    """An unexpected value: the object and key that hold it, and the expectation."""

    field: str
    key: str
    wanted: Expectation


Expected = Mapping[str, Mapping[str, Expectation]]  # by object, then by key

_TEXT, _COUNT, _SIZE = (
    Expectation("text"),
    Expectation("integer", minimum=0),
    Expectation("integer", minimum=1),
)
_POSITIVE, _SHARE = Expectation("number", above=0), Expectation("number", minimum=0, maximum=1)
_SCORE = Expectation("number", minimum=0, maximum=1, series=True)
_ERROR = Expectation("number", minimum=0, series=True)
_ANY = Expectation("number", series=True)

_COMMON: Expected = {
    "parameters": {
        "parameter_count": _COUNT,
        "layers": _SIZE,
        "hidden_size": _SIZE,
        "framework": _TEXT,
        "version": _TEXT,
    },
    "hyperparameters": {
        "learning_rate": _POSITIVE,
        "lr": _POSITIVE,
        "batch_size": _SIZE,
        "epochs": _COUNT,
        "steps": _COUNT,
        "seed": Expectation("integer"),
        "dropout": _SHARE,
        "momentum": _SHARE,
        "weight_decay": Expectation("number", minimum=0),
        "optimizer": _TEXT,
    },
    "performance_metrics": {
        "loss": _ANY,
        "accuracy": Expectation("number", minimum=0, maximum=100, series=True),
    },
}
_CLASSES = dict.fromkeys(("precision", "recall", "f1", "f1_score", "auc", "roc_auc"), _SCORE)
_ERRORS = dict.fromkeys(("mae", "mse", "rmse"), _ERROR)
_SEQUENCES = {"context_length": _SIZE, "heads": _SIZE, "vocabulary_size": _SIZE}
_WORDS = {
    "perplexity": Expectation("number", minimum=1, series=True),
    "bleu": Expectation("number", minimum=0, maximum=100, series=True),
    "rouge_l": Expectation("number", minimum=0, maximum=100, series=True),
}
_RANKED = dict.fromkeys(("precision", "recall", "ndcg", "mrr", "hit_rate"), _SCORE)
_OWN: Mapping[str, Expected] = {
    "classification": {"parameters": {"classes": _SIZE}, "performance_metrics": _CLASSES},
    "regression": {
        "performance_metrics": _ERRORS | {"r2": Expectation("number", maximum=1, series=True)}
    },
    "clustering": {
        "hyperparameters": {"clusters": _SIZE},
        "performance_metrics": {
            "silhouette": Expectation("number", minimum=-1, maximum=1, series=True),
            "inertia": _ERROR,
        },
    },
    "nlp": {"parameters": _SEQUENCES, "performance_metrics": _CLASSES | _WORDS},
    "computer_vision": {
        "parameters": {"classes": _SIZE, "channels": _SIZE},
        "performance_metrics": _CLASSES | {"iou": _SCORE, "map": _SCORE, "map_50": _SCORE},
    },
    "generative": {
        "parameters": {"latent_size": _SIZE},
        "performance_metrics": {"fid": _ERROR, "inception_score": _ERROR},
    },
    "llm": {
        "parameters": _SEQUENCES,
        "hyperparameters": {"temperature": Expectation("number", minimum=0), "top_p": _SHARE},
        "performance_metrics": _WORDS,
    },
    "embedding": {
        "parameters": {"dimensions": _SIZE, "context_length": _SIZE},
        "performance_metrics": {"recall_at_10": _SCORE, "ndcg": _SCORE, "mrr": _SCORE},
    },
    "reinforcement": {
        "hyperparameters": {"gamma": _SHARE, "epsilon": _SHARE},
        "performance_metrics": {"reward": _ANY, "success_rate": _SCORE},
    },
    "time_series": {
        "parameters": {"horizon": _SIZE, "window": _SIZE},
        "performance_metrics": _ERRORS | {"mape": _ERROR, "smape": _ERROR},
    },
    "recommendation": {
        "parameters": {"factors": _SIZE},
        "performance_metrics": _RANKED,
    },
}


@cache
def expected_of(model_type: str) -> Expected:
    """Return the expectations for a model type."""
    own = _OWN.get(model_type, {})
    return {name: {**_COMMON[name], **own.get(name, {})} for name in OBJECTS}


def deviations(model_type: str, field: str, value: object) -> Iterator[Deviation]:
    """Yield the unexpected values in an object of a model. Null is never unexpected."""
    wanted = expected_of(model_type).get(field, {})
    for key, entry in value.items() if isinstance(value, Mapping) else ():
        if key in wanted and entry is not None and not wanted[key].fits(entry):
            yield Deviation(field, key, wanted[key])


def _schema(name: str, model_type: str) -> Schema:
    return {
        "$schema": DIALECT,
        "$id": f"{FOLDER}{name}.json",
        "title": name,
        "description": f"What is usual in a model of the type {model_type}; further keys may stand"
        " beside it.",
        "type": "object",
        "properties": {
            field: {
                "type": "object",
                "properties": {
                    key: _or_null(expectation.schema) for key, expectation in keys.items()
                },
            }
            for field, keys in expected_of(model_type).items()
        },
    }


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [*schema.get("anyOf", [schema]), {"type": "null"}]}


MODEL_SCHEMAS: Mapping[str, Schema] = MappingProxyType(
    {
        f"model-{model_type}": _schema(f"model-{model_type}", model_type)
        for model_type in COLLECTIONS["models"].by_name["model_type"].choices
    }
)
