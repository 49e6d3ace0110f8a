"""Other programs to be measured against: installed into benchmarks/.peers, a virtual environment apart."""

import subprocess
import sys
import venv
from functools import cache
from pathlib import Path

PLACE = Path(__file__).parent.parent / ".peers"
BIN = PLACE / ("Scripts" if sys.platform == "win32" else "bin")


@cache
def installed(package: str) -> bool:
    """Tell whether a package is there, after installing it; say plainly when it cannot be."""
    python = BIN / "python"
    try:
        if not python.exists():
            venv.create(PLACE, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "-q"]
        if subprocess.run([*pip, "show", package], capture_output=True).returncode == 0:
            return True
        subprocess.run([*pip, "install", package], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        print(f"{package} cannot be installed, so there is no figure against it: {said[-1] if said else error}")
        return False
    return True


def peer_python(package: str) -> str | None:
    """Give the interpreter that has a package, or nothing."""
    return str(BIN / "python") if installed(package) else None


def peer_program(package: str) -> str | None:
    """Give the command that a package brings, or nothing."""
    return str(BIN / package) if installed(package) else None
