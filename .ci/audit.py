"""Hold every locked package to the known vulnerabilities; what was not audited is never a pass.

    python .ci/audit.py .venv/bin/pip-audit requirements.lock requirements-dev.lock -- -s osv

Exit status: 0 all were audited and nothing is known, 1 something is known, 2 some could not be audited,
3 none could: no source of advisories could be reached.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CLEAN, VULNERABLE, PARTLY, UNREACHED = range(4)
TOLD = {
    CLEAN: "audited: nothing is known of any package",
    VULNERABLE: "vulnerable: see above",
    PARTLY: "not audited: the advisories of some packages could not be had",
    UNREACHED: "not audited: no advisory source could be reached",
}


def main(tool: str, *arguments: str) -> int:
    """Audit locks and give the worst that was found."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    locks, options = arguments[:cut], arguments[cut + 1 :]
    worst = max([audit(tool, Path(lock), options) for lock in locks], default=UNREACHED)
    print(TOLD[worst])
    return worst


def audit(tool: str, lock: Path, options: tuple[str, ...]) -> int:
    """Audit one lock; print what is vulnerable and what was left out."""
    wanted = locked(lock)
    told, reason = ask(tool, lock, ("--strict", *options))
    if told is None:
        told, _ = ask(tool, lock, options)  # names all that --strict stops at the first of
    if told is None:
        print(f"{lock}: 0 of {len(wanted)} packages audited: {reason}")
        return UNREACHED
    audited = {canonicalize_name(one["name"]): one for one in told if "skip_reason" not in one}
    left = sorted(wanted - set(audited))
    known = [(name, one["id"]) for name, found in sorted(audited.items()) for one in found["vulns"]]
    for name, vulnerability in known:
        print(f"{lock}: {name} {audited[name]['version']}: {vulnerability}")
    print(f"{lock}: {len(wanted) - len(left)} of {len(wanted)} packages audited")
    if len(left) == len(wanted):
        return UNREACHED
    if left:
        print(f"{lock}: not audited: {', '.join(left)}")
    return PARTLY if left else VULNERABLE if known else CLEAN


def locked(lock: Path) -> set[str]:
    """Give the packages that a lock names for this platform."""
    lines = [line for line in lock.read_text("utf-8").splitlines() if line and line[0] not in " #"]
    named = [Requirement(line.removesuffix("\\").strip()) for line in lines]
    return {canonicalize_name(one.name) for one in named if one.marker is None or one.marker.evaluate()}


def ask(tool: str, lock: Path, options: tuple[str, ...]) -> tuple[list[dict[str, Any]] | None, str]:
    """Run pip-audit: what it tells of each package, or nothing and the reason."""
    line = [tool, "--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run([*line, "--requirement", str(lock), *options], capture_output=True, text=True, check=False)
    try:
        return json.loads(done.stdout)["dependencies"], ""
    except ValueError:
        return None, (done.stderr.strip().splitlines() or ["no reason is given"])[-1]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
