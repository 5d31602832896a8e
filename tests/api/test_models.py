from tests.api.conftest import Caller


def test_it_works(alice: Caller) -> None:
    answer = alice.post(
        "models/",
        {"name": "ResNet", "accuracy": 93.5, "hyperparameters": {"lr": 1e-3, "layers": [3, 4]}},
    )

    assert answer.status_code == 201
    model = answer.json()
    assert answer["Location"] == "/accounts/api/models/1/"
    assert model["model_type"] == "classification"
    assert model["hyperparameters"] == {"lr": 0.001, "layers": [3, 4]}
    assert alice.get("models/").json() == {"models": [model], "total": 1}
    changed = alice.patch("models/1/", {"hyperparameters": {"lr": 0.01}}).json()
    assert changed["hyperparameters"] == {"lr": 0.01, "layers": [3, 4]}
    assert alice.latest["type"] == "model_updated"
    assert alice.delete("models/1/").status_code == 204
    assert alice.latest["type"] == "model_deleted"


def test_types_are_strict(alice: Caller) -> None:
    wrong = {"name": 7, "accuracy": True, "is_public": 1, "training_data_size": "many"}
    answer = alice.post("models/", wrong)

    assert answer.status_code == 422
    assert {error["pointer"] for error in answer.json()["errors"]} == {f"/{key}" for key in wrong}
