"""The SHA-256 of a file, by which imports, exports and backups know it again."""

import hashlib
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Give the SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
