import stat
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from neuralflow.secret_key import read_or_make_secret_key


def test_it_is_made_once_and_kept(tmp_path: Path) -> None:
    key = read_or_make_secret_key(tmp_path / "key")
    assert len(key) >= 50
    assert read_or_make_secret_key(tmp_path / "key") == key


def test_only_its_owner_can_read_it_and_no_draft_stays(tmp_path: Path) -> None:
    read_or_make_secret_key(tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("fork")) as pool:
        paths = [tmp_path / f"key{number // 4}" for number in range(80)]
        keys = list(pool.map(read_or_make_secret_key, paths))
    assert [len(set(keys[start : start + 4])) for start in range(0, 80, 4)] == [1] * 20


def test_an_empty_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").touch()
    with pytest.raises(ImproperlyConfigured, match="is empty"):
        read_or_make_secret_key(tmp_path / "key")


def test_a_folder_that_takes_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="NEURALFLOW_SECRET_KEY"):
        read_or_make_secret_key(tmp_path / "nowhere" / "key")
