"""What the settings and metrics of a model usually are, by the type of the model.

For people who type JSON: a learning rate of "fast" or an F1 of 91 is a slip, and is pointed at. It
is advice, not a rule of what may be stored: programs log what they measure, and any further key is
as good. Published as JSON Schemas under /schemas/v1/model-regression.json and its like; for a type
that the table does not suggest, `model-other` holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from utils.schemas import DIALECT, FOLDER, Schema
from utils.table import COLLECTIONS

OBJECTS: Final = ("parameters", "hyperparameters", "performance_metrics")

Kind = Literal["number", "integer", "text"]


@dataclass(frozen=True)
class Wanted:
    """What stands under a key. `above`: greater than this; `series`: or a list of such, one for
    each step or class."""

    kind: Kind
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    series: bool = False

    def fits(self, value: object) -> bool:
        """Whether a value is as wanted."""
        if self.series and isinstance(value, list):
            return all(self._fits_one(one) for one in value)
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
        """The same as JSON Schema."""
        limits = {
            "minimum": self.minimum,
            "maximum": self.maximum,
            "exclusiveMinimum": self.above,
        }
        told = {name: limit for name, limit in limits.items() if limit is not None}
        one: Schema = {"type": "string" if self.kind == "text" else self.kind, **told}
        return {"anyOf": [one, {"type": "array", "items": one}]} if self.series else one


class Misfit(NamedTuple):
    """A value that is not as usual: the object and key that it stands under, and what is wanted."""

    field: str
    key: str
    wanted: Wanted


Expected = Mapping[str, Mapping[str, Wanted]]  # by the object, then by the key

_TEXT, _COUNT, _SIZE = Wanted("text"), Wanted("integer", minimum=0), Wanted("integer", minimum=1)
_POSITIVE, _SHARE = Wanted("number", above=0), Wanted("number", minimum=0, maximum=1)
_SCORE = Wanted("number", minimum=0, maximum=1, series=True)
_ERROR = Wanted("number", minimum=0, series=True)
_ANY = Wanted("number", series=True)

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
        "seed": Wanted("integer"),
        "dropout": _SHARE,
        "momentum": _SHARE,
        "weight_decay": Wanted("number", minimum=0),
        "optimizer": _TEXT,
    },
    "performance_metrics": {
        "loss": _ANY,
        "accuracy": Wanted("number", minimum=0, maximum=100, series=True),
    },
}
_CLASSES = dict.fromkeys(("precision", "recall", "f1", "f1_score", "auc", "roc_auc"), _SCORE)
_ERRORS = dict.fromkeys(("mae", "mse", "rmse"), _ERROR)
_SEQUENCES = {"context_length": _SIZE, "heads": _SIZE, "vocabulary_size": _SIZE}
_WORDS = {
    "perplexity": Wanted("number", minimum=1, series=True),
    "bleu": Wanted("number", minimum=0, maximum=100, series=True),
    "rouge_l": Wanted("number", minimum=0, maximum=100, series=True),
}
_RANKED = dict.fromkeys(("precision", "recall", "ndcg", "mrr", "hit_rate"), _SCORE)
_OWN: Mapping[str, Expected] = {
    "classification": {"parameters": {"classes": _SIZE}, "performance_metrics": _CLASSES},
    "regression": {
        "performance_metrics": _ERRORS | {"r2": Wanted("number", maximum=1, series=True)}
    },
    "clustering": {
        "hyperparameters": {"clusters": _SIZE},
        "performance_metrics": {
            "silhouette": Wanted("number", minimum=-1, maximum=1, series=True),
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
        "hyperparameters": {"temperature": Wanted("number", minimum=0), "top_p": _SHARE},
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
    """What is usual for a type of model."""
    own = _OWN.get(model_type, {})
    return {name: {**_COMMON[name], **own.get(name, {})} for name in OBJECTS}


def misfits(model_type: str, field: str, value: object) -> Iterator[Misfit]:
    """What is unusual in one of the objects of a model."""
    wanted = expected_of(model_type).get(field, {})
    for key, one in value.items() if isinstance(value, Mapping) else ():
        # What is left open, is no slip.
        if key in wanted and one is not None and not wanted[key].fits(one):
            yield Misfit(field, key, wanted[key])


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
                "properties": {key: _or_null(one.schema) for key, one in keys.items()},
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
