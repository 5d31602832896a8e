"""Pages travel compressed; what programs ask for travels as it is."""

import gzip

import pytest
from django.test import Client

from neuralflow.static_storage import CollectedOrPlainStorage

TAKES_GZIP = {"accept-encoding": "gzip"}


@pytest.mark.django_db
def test_a_page_travels_compressed_where_the_browser_takes_it() -> None:
    page = Client().get("/", headers=TAKES_GZIP)
    assert page["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in page["Vary"]
    plain = Client().get("/")
    assert "Content-Encoding" not in plain
    assert gzip.decompress(page.content).startswith(plain.content[:200])
    assert len(page.content) < len(plain.content) / 2


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/accounts/api/openapi.json", "/schemas/v1/tasks.json"])
def test_api_documents_are_not_compressed(address: str) -> None:
    answer = Client().get(address, headers=TAKES_GZIP)
    assert answer.status_code == 200
    assert len(b"".join(answer)) > 200
    assert "Content-Encoding" not in answer


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("taken", "is_compressed"),
    [
        ("gzip, deflate, br", True),
        ("br;q=1.0, gzip;q=0.8", True),
        ("GZIP", True),
        ("deflate", False),
        ("gzip;q=0", False),
        ("gzip;q=0.0, br", False),
        ("xgzip", False),
    ],
)
def test_only_who_takes_gzip_gets_it(taken: str, is_compressed: bool) -> None:
    page = Client().get("/", headers={"accept-encoding": taken})
    assert page.has_header("Content-Encoding") == is_compressed
    assert int(page["Content-Length"]) == len(page.content)


@pytest.mark.django_db
def test_the_length_of_a_page_tells_little_of_what_is_on_it() -> None:
    lengths = {len(Client().get("/", headers=TAKES_GZIP).content) for _again in range(30)}
    assert len(lengths) > 10


def test_modules_name_each_other_by_their_hashed_names() -> None:
    storage = CollectedOrPlainStorage()
    found = [
        expression.findall('import "./a.js";\nexport { b } from "./b.js";\n// from x\n')
        for pattern, expressions in storage._patterns.items()
        if pattern == "js/*.js"
        for expression, _template in expressions
    ]
    assert [[url for _matched, url in each] for each in found] == [["./a.js"], ["./b.js"]]
