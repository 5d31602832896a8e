"""What is usual in a model: the same said by Python and by the published schemas."""

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workspace.schema.collections import COLLECTIONS
from workspace.schema.model_conventions import (
    MODEL_SCHEMAS,
    OBJECTS,
    Deviation,
    Expectation,
    deviations,
    expected_of,
)

TYPES = COLLECTIONS["models"].by_name["model_type"].choices
VALIDATORS = {name: jsonschema_rs.validator_for(schema) for name, schema in MODEL_SCHEMAS.items()}

numbers = st.integers(-3, 200) | st.floats(-3, 200, allow_nan=False)
values = st.none() | st.booleans() | numbers | st.text(max_size=3) | st.lists(numbers, max_size=3)


@st.composite
def objects(draw: st.DrawFn) -> tuple[str, str, dict[str, Any]]:
    model_type, field = draw(st.sampled_from(TYPES)), draw(st.sampled_from(OBJECTS))
    keys = st.sampled_from([*expected_of(model_type)[field], "of_my_own"])
    return model_type, field, draw(st.dictionaries(keys, values, max_size=4))


@given(objects())
def test_both_say_the_same(case: tuple[str, str, dict[str, Any]]) -> None:
    model_type, field, value = case
    found = list(deviations(model_type, field, value))
    assert VALIDATORS[f"model-{model_type}"].is_valid({field: value}) == (not found)


@pytest.mark.parametrize(
    ("model_type", "field", "value", "wrong"),
    [
        ("classification", "performance_metrics", {"f1": 91, "recall": [0.1, 0.9]}, ["f1"]),
        ("regression", "performance_metrics", {"f1": 91, "r2": 1.5, "rmse": -1}, ["r2", "rmse"]),
        ("llm", "hyperparameters", {"lr": "fast", "epochs": 2.5, "seed": None}, ["lr", "epochs"]),
        ("my own type", "hyperparameters", {"lr": 0, "batch_size": 32.0}, ["lr"]),
        ("nlp", "parameters", {"framework": 3, "layers": True}, ["framework", "layers"]),
        ("nlp", "metadata", {"lr": "fast"}, []),
        ("nlp", "parameters", [1], []),
    ],
)
def test_a_slip_is_found(model_type: str, field: str, value: Any, wrong: list[str]) -> None:
    assert [misfit.key for misfit in deviations(model_type, field, value)] == wrong


def test_a_misfit_tells_what_is_wanted() -> None:
    (found,) = deviations("llm", "hyperparameters", {"top_p": 2})
    assert found == Deviation(
        "hyperparameters", "top_p", Expectation("number", minimum=0, maximum=1)
    )
