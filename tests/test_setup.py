"""Setting up: moved, copied, beside other environments, behind a proxy, without the environment.

The checkouts are tiny, without packages: what is tried is `scripts/environment` with the real uv.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.server import PROJECT

BASE_PYTHON: str = sys._base_executable  # type: ignore[attr-defined]
UV = PROJECT / ".uv" / "bin" / "uv"

_TINY = """
[project]
name = "neuralflow"
version = "0"
requires-python = ">=3.11"

[project.scripts]
nf = "neuralflow:main"

[build-system]
requires = ["uv_build>=0.13,<0.14"]
build-backend = "uv_build"

[tool.uv.build-backend]
module-name = ["neuralflow"]
module-root = ""
"""
_UV = """#!/bin/sh
env > "$(dirname "$0")/../environment"
exec {uv} "$@"
"""
_PYTHON = """#!/bin/sh
case "$*" in
    "-m venv .uv") mkdir -p .uv/bin && cp "$0" .uv/bin/python ;;
    "-m pip "*) env > .uv/environment; ln -s {uv} .uv/bin/uv ;;
    *) echo "$0" ;;
esac
"""


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def says(folder: Path, words: str) -> None:
    (folder / "neuralflow" / "__init__.py").write_text(f"def main():\n    print({words!r})\n")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "first place"
    for name in ("scripts", "neuralflow"):
        (folder / name).mkdir(parents=True)
    for name in ("environment", "uv.txt"):
        shutil.copy(PROJECT / "scripts" / name, folder / "scripts")
    (folder / "pyproject.toml").write_text(_TINY)
    says(folder, "first")
    executable(folder / ".uv" / "bin" / "uv", _UV.format(uv=UV))
    subprocess.run([UV, "lock", "--quiet", "--offline"], cwd=folder, check=True)
    return folder


def set_up(
    folder: Path, variables: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """Run the script without a network."""
    return subprocess.run(
        [folder / "scripts" / "environment", "run"],
        env={**os.environ, "UV_OFFLINE": "1", "PYTHON": BASE_PYTHON, **variables},
        capture_output=True,
        text=True,
    )


def said_by(program: Path) -> str:
    return subprocess.run([program], capture_output=True, text=True, check=True, cwd="/").stdout


def environment_of(path: Path) -> dict[str, str]:
    lines = path.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def test_moved_checkout_runs_and_is_set_up_again(checkout: Path, tmp_path: Path) -> None:
    assert set_up(checkout).returncode == 0
    moved = checkout.rename(tmp_path / "second")

    assert said_by(moved / ".venv/bin/nf") == "first\n"  # without anything being done
    assert "Installing" in set_up(moved).stdout
    assert said_by(moved / ".venv/bin/nf") == "first\n"
    assert set_up(moved).stdout == ""  # nothing is left to do


@pytest.mark.parametrize("is_set_up", [False, True])
def test_copy_runs_its_own_code(checkout: Path, tmp_path: Path, is_set_up: bool) -> None:
    assert set_up(checkout).returncode == 0
    copy = shutil.copytree(checkout, tmp_path / "copy", symlinks=True)
    says(copy, "copy")

    if is_set_up:
        assert set_up(copy).returncode == 0
    assert said_by(copy / ".venv/bin/nf") == "copy\n"
    assert said_by(checkout / ".venv/bin/nf") == "first\n"


def test_program_whose_module_moved_runs_after_an_upgrade(checkout: Path) -> None:
    assert set_up(checkout).returncode == 0
    says(checkout, "moved")
    (checkout / "neuralflow/__init__.py").rename(checkout / "neuralflow/program.py")
    (checkout / "neuralflow/__init__.py").touch()
    project = checkout / "pyproject.toml"
    project.write_text(_TINY.replace("neuralflow:main", "neuralflow.program:main"))
    made = (checkout / ".venv/.made-for-run").stat().st_mtime
    os.utime(project, (made + 1, made + 1))  # pulled later; the lock is the same

    assert set_up(checkout).returncode == 0
    assert said_by(checkout / ".venv/bin/nf") == "moved\n"


def test_environment_that_cannot_be_moved_is_made_anew(checkout: Path) -> None:
    subprocess.run([UV, "venv", "--quiet", ".venv"], cwd=checkout, check=True)
    assert set_up(checkout).returncode == 0
    assert "relocatable = true" in (checkout / ".venv/pyvenv.cfg").read_text()
    assert said_by(checkout / ".venv/bin/nf") == "first\n"


def test_other_active_environment_is_left_alone(checkout: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    subprocess.run([UV, "venv", "--quiet", other], check=True)
    before = sorted(other.rglob("*"))
    variables = {
        "VIRTUAL_ENV": str(other),
        "CONDA_PREFIX": str(other),
        "PATH": f"{other}/bin:{os.environ['PATH']}",
        "PYTHONHOME": str(other),
        "PYTHONPATH": str(other),
        "UV_PROJECT_ENVIRONMENT": str(other),
        "UV_PYTHON": "3.99",
        "UV_NO_INSTALL_PROJECT": "1",
        "UV_INDEX_URL": "https://packages.example/simple",
        "PYTHON": "",
    }
    ran = set_up(checkout, variables)
    assert ran.returncode == 0, ran.stderr
    assert said_by(checkout / ".venv/bin/nf") == "first\n"
    assert sorted(other.rglob("*")) == before
    assert str(other) not in (checkout / ".venv/pyvenv.cfg").read_text()
    # How packages are reached is the user's.
    seen = environment_of(checkout / ".uv/environment")
    assert seen["UV_INDEX_URL"] == "https://packages.example/simple"


def test_make_run_serves_from_its_environment_whatever_is_active(checkout: Path) -> None:
    shutil.copy(PROJECT / "Makefile", checkout)
    (checkout / "manage.py").write_text("print('prepared')\n")
    (checkout / "gunicorn.py").write_text("import sys\nprint('served by', sys.prefix)\n")
    ran = subprocess.run(
        ["make", "run"],
        cwd=checkout,
        env={
            **os.environ,
            "UV_OFFLINE": "1",
            "PYTHON": BASE_PYTHON,
            "PYTHONHOME": "/nonexistent",
            "PYTHONPATH": "/nonexistent",
            "VIRTUAL_ENV": "/nonexistent",
        },
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-2:] == ["prepared", f"served by {checkout}/.venv"]


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_named_certificates_are_those_of_uv_and_pip(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for other in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"):
        monkeypatch.delenv(other, raising=False)
    bundle = tmp_path / "company.pem"
    bundle.write_text("")
    shutil.rmtree(checkout / ".uv")
    python = executable(tmp_path / "bin" / "python3", _PYTHON.format(uv=UV))
    set_up(checkout, {"PYTHON": str(python), name: str(bundle)})
    assert environment_of(checkout / ".uv/environment")["PIP_CERT"] == str(bundle)

    executable(checkout / ".uv" / "bin" / "other", _UV.format(uv=UV)).rename(
        checkout / ".uv" / "bin" / "uv"
    )
    assert set_up(checkout, {name: str(bundle)}).returncode == 0
    seen = environment_of(checkout / ".uv/environment")
    assert (seen["UV_SYSTEM_CERTS"], seen["SSL_CERT_FILE"]) == ("1", str(bundle))


def test_system_certificates_are_those_of_uv_where_none_are_named(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"):
        monkeypatch.delenv(name, raising=False)
    assert set_up(checkout).returncode == 0
    seen = environment_of(checkout / ".uv/environment")
    assert seen["UV_SYSTEM_CERTS"] == "1"
    assert "SSL_CERT_FILE" not in seen


def test_uv_of_another_digest_is_not_installed(checkout: Path, tmp_path: Path) -> None:
    version = subprocess.run([UV, "--version"], capture_output=True, text=True, check=True)
    release = version.stdout.split()[1]
    (tmp_path / "mirror").mkdir()
    name = f"uv-{release}.dist-info"
    with zipfile.ZipFile(tmp_path / f"mirror/uv-{release}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("uv.py", "print('not uv')\n")
        wheel.writestr(f"{name}/METADATA", f"Metadata-Version: 2.1\nName: uv\nVersion: {release}\n")
        wheel.writestr(
            f"{name}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{name}/RECORD", "")
    shutil.rmtree(checkout / ".uv")
    mirror = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path / "mirror"),
        "PIP_CONFIG_FILE": os.devnull,
    }
    ran = set_up(checkout, mirror)
    assert ran.returncode == 1
    assert "MATCH THE HASHES" in ran.stderr
    assert "with a digest that scripts/uv.txt lists" in ran.stderr
    assert not list((checkout / ".uv").glob("lib/*/site-packages/uv.py"))


def test_user_without_a_home_folder_sets_up(checkout: Path, tmp_path: Path) -> None:
    ran = set_up(checkout, {"HOME": str(tmp_path / "none")})
    assert ran.returncode == 0, ran.stderr
    assert (checkout / ".uv/cache").is_dir()


@pytest.mark.parametrize(
    ("program", "arguments", "last"),
    [
        ("manage.py", ["version"], ""),
        ("test_json_storage.py", [], "JSON Storage System test completed! ✓"),
    ],
)
def test_program_runs_in_its_environment_whatever_python_starts_it(
    program: str, arguments: list[str], last: str
) -> None:
    ran = subprocess.run(
        [BASE_PYTHON, PROJECT / program, *arguments],
        env={**os.environ, "PYTHONPATH": "/nonexistent", "VIRTUAL_ENV": "/nonexistent"},
        capture_output=True,
        text=True,
        cwd="/",
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1].endswith(last)


def test_program_that_has_no_packages_there_either_does_not_start_itself_for_ever() -> None:
    ran = subprocess.run(
        [BASE_PYTHON, "-S", PROJECT / "manage.py"], capture_output=True, text=True, timeout=60
    )
    assert "make environment" in ran.stderr


@pytest.mark.parametrize("program", ["manage.py", "test_json_storage.py"])
def test_program_without_packages_ends_with_one_sentence(tmp_path: Path, program: str) -> None:
    (tmp_path / "neuralflow").mkdir()
    for name in (program, "neuralflow/__init__.py", "neuralflow/own_environment.py"):
        shutil.copy(PROJECT / name, tmp_path / name)
    ran = subprocess.run([BASE_PYTHON, "-S", program], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stderr == (
        f"NeuralFlow's packages are not installed. In {tmp_path}, run: make environment\n"
    )


@pytest.mark.parametrize(
    ("line", "variables"),
    [
        ("from neuralflow import storage", {}),
        (
            "from utils.json_storage import json_storage as storage",
            {"DJANGO_SETTINGS_MODULE": "neuralflow.settings"},
        ),
    ],
)
def test_plain_script_has_the_storage_by_one_line(
    tmp_path: Path, line: str, variables: dict[str, str]
) -> None:
    clean = {name: text for name, text in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    ran = subprocess.run(
        [sys.executable, "-c", f"{line}; print(storage.get_user_tasks(1))"],
        env=clean | variables | {"NEURALFLOW_STORE": (tmp_path / "data").as_uri()},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ran.stdout == "[]\n", ran.stderr
