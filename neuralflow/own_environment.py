"""Run the project's programs in its own environment, whichever Python they were started with.

Imports nothing but the standard library and reads as any Python 3.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

_FOLDER = Path(__file__).resolve().parents[1]


def enter() -> None:
    """Replace the process by the same program under the Python of `.venv`, unless it runs there.

    Without `.venv`, continue if this Python has the packages, else exit with a message.
    """
    environment = _FOLDER / ".venv"
    python = environment / "bin" / "python"
    is_made = os.access(str(python), os.X_OK) and (environment / "pyvenv.cfg").is_file()
    # Not `sys.prefix`: it differs under `-S`, and the program would restart itself forever.
    if is_made and Path(sys.executable).parent.resolve() != python.parent.resolve():
        foreign = ("PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__")
        variables = {name: text for name, text in os.environ.items() if name not in foreign}
        arguments = getattr(sys, "orig_argv", [sys.executable, *sys.argv])[1:]
        os.execve(str(python), [str(python), *arguments], variables)
    if find_spec("django") is None or sys.version_info < (3, 11):
        sys.exit(f"NeuralFlow's packages are not installed. In {_FOLDER}, run: make environment")
