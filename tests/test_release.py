"""A release as its users get it: the wheel in an empty environment, and the files in deploy/."""

import os
import re
import shutil
import subprocess
import tomllib
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.nginx import documented_block
from tests.server import PROJECT

DEPLOY = PROJECT / "deploy"
UV = PROJECT / ".uv/bin/uv"
PAGES = ("/", "/accounts/signup/", "/accounts/login/", "/accounts/api/docs/", "/problems/")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a wheel, in an environment that has nothing else."""
    folder = tmp_path_factory.mktemp("release")
    subprocess.run(
        [UV, "build", "--wheel", "--quiet", "--out-dir", folder], cwd=PROJECT, check=True
    )
    (wheel,) = folder.glob("*.whl")
    environment = folder / "environment"
    subprocess.run([UV, "venv", "--quiet", "--python", "3.11", environment], check=True)
    python = environment / "bin/python"
    subprocess.run([UV, "pip", "install", "--quiet", "--python", python, wheel], check=True)
    return environment / "bin"


def _environment(home: Path, **more: str) -> dict[str, str]:
    kept = ("PATH", "LANG", "TZ", "PYTHONPATH", "LD_PRELOAD")
    return {name: os.environ[name] for name in kept if name in os.environ} | {
        "HOME": str(home),
        "NEURALFLOW_HOME": str(home / "neuralflow"),
        **more,
    }


def _get(port: int, path: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.read().decode()


@pytest.mark.slow
def test_installed_wheel_serves_its_pages_from_its_home(installed: Path, tmp_path: Path) -> None:
    environment = _environment(tmp_path, PORT="0")
    command = [installed / "neuralflow", "serve"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = next(text for text in process.stdout if "is running at" in text)
            port = int(line.partition("http://127.0.0.1:")[2].split()[0])
            pages = {path: _get(port, path) for path in PAGES}
            assert {path: status for path, (status, _text) in pages.items()} == dict.fromkeys(
                PAGES, 200
            )
            sheet = re.search(r'href="(/static/css/neuralflow\.[0-9a-f]+\.css)"', pages["/"][1])
            assert sheet is not None
            assert _get(port, sheet[1])[0] == 200
        finally:
            process.terminate()
    home = tmp_path / "neuralflow"
    assert {"data", "db.sqlite3", ".secret_key", "staticfiles"} <= {
        path.name for path in home.iterdir()
    }
    assert home.stat().st_mode & 0o077 == 0
    ours = {"db.sqlite3", ".secret_key", "tasks_1.json"}
    assert [path for path in installed.parent.rglob("*") if path.name in ours] == []


@pytest.mark.slow
def test_installed_command_has_version_and_management_commands(
    installed: Path, tmp_path: Path
) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [installed / "neuralflow", *arguments],
            env=_environment(tmp_path),
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    version = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert run("--version").stdout == f"neuralflow {version}\n"
    assert "setup_data" in run("help").stdout
    assert "neuralflow serve" in run().stdout
    refused = run("serve", "--port", "1")
    assert refused.returncode == 1
    assert "HOST and PORT" in refused.stderr


def test_nginx_file_is_the_block_of_the_manual() -> None:
    text = (DEPLOY / "nginx.conf").read_text("utf-8")
    assert text.partition("\n")[2] == documented_block()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
@pytest.mark.parametrize("name", ["neuralflow.service", "neuralflow-maintenance.service"])
def test_systemd_units_are_valid(name: str, tmp_path: Path) -> None:
    unit = tmp_path / name
    text = (DEPLOY / name).read_text("utf-8")
    unit.write_text(text.replace("/opt/neuralflow/bin/neuralflow", "/bin/true"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False
    )
    assert [line for line in verified.stderr.splitlines() if name in line] == []


def test_container_runs_without_root_and_is_checked() -> None:
    text = (DEPLOY / "Containerfile").read_text("utf-8")
    assert re.findall(r"^USER (.+)$", text, re.M) == ["10001:10001"]
    assert "/readyz" in text.partition("HEALTHCHECK")[2]
    images = re.findall(r"^FROM (\S+)", text, re.M)
    assert images
    assert all(re.search(r":[\w.-]*\d", image) for image in images), images
    compose = (DEPLOY / "compose.yaml").read_text("utf-8")
    assert "read_only: true" in compose
    assert "cap_drop: [ALL]" in compose
