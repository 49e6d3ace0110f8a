"""Files on disk as the texts in them: plain, .gz or .zip. Broken and hostile archives are refused, none is unpacked."""

import errno
import gzip
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from app.errors import ImportInvalid

ENCRYPTED = 1
"""Bit of a member of a .zip that needs a password."""
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
UNPACKED_MAX = 64 * 2**30
"""Bytes that one path may hold unpacked: BACI's largest archive holds a fifth of it."""
RATIO_MAX, RATIO_FROM = 200, 8 * 2**20
"""Bytes unpacked for each packed one, once there are so many: tables of trade reach 60, a bomb 1,000."""
LOCAL_HEADER = 30
"""Bytes before the name of a member, where it stands in the archive."""
BROKEN = (
    *(EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, struct.error, UnicodeDecodeError),
    *(NotImplementedError, OverflowError, ValueError, IndexError),
)
"""What the readers of archives raise over bytes that are none."""
Member = tuple[str, IO[bytes], IO[bytes]]


@contextmanager
def opened(path: Path) -> Iterator[Iterator[Member]]:
    """Give each file that a path holds with its name, its text and the bytes on disk. Raises ImportInvalid."""
    with path.open("rb") as disk:
        yield members(path, disk)


def members(path: Path, disk: IO[bytes]) -> Iterator[Member]:
    """Give the files that a path holds: those of an archive, or itself."""
    if path.suffix.lower() == ".zip":
        with whole(path.name), zipfile.ZipFile(disk) as archive:
            for info in readable(path.name, archive):
                with archive.open(info) as text:
                    yield f"{path.name}/{Path(info.filename).name}", text, disk
        return
    if path.suffix.lower() == ".gz":
        with gzip.GzipFile(fileobj=disk) as text:
            yield path.name, text, disk  # type: ignore[misc]  # a GzipFile reads bytes, whatever its type says
        return
    yield path.name, disk, disk


@contextmanager
def whole(name: str) -> Iterator[None]:
    """Tell what is wrong with the bytes of an archive. Raises ImportInvalid."""
    try:
        yield
    except BROKEN as error:
        raise ImportInvalid(f"{name}: the archive is broken or cut off: {error}") from error
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise ImportInvalid(f"{name}: the archive is broken: it names a place that no file has") from error


def readable(name: str, archive: zipfile.ZipFile) -> Sequence[zipfile.ZipInfo]:
    """Give the members of a .zip that are read, once all of it is found harmless. Raises ImportInvalid."""
    every = archive.infolist()
    for info in every:
        if why := hostile(info):
            raise ImportInvalid(f"{name}: {info.filename!r} {why}: such an archive is not read")
    refuse_overlap(name, every, archive.start_dir)
    inside = [info for info in every if info.filename.lower().endswith((".csv", ".txt"))]
    if not inside:
        raise ImportInvalid(f"{name}: there is no .csv or .txt file in the archive")
    for info in inside:
        if info.flag_bits & ENCRYPTED:
            raise ImportInvalid(f"{name}: {info.filename} is encrypted: unpack it first")
        if info.compress_type not in PACKINGS:
            raise ImportInvalid(f"{name}: {info.filename} is packed in a way that is not read here: pack it by deflate")
        refuse_bomb(name, info.file_size, info.compress_size)
    refuse_bomb(name, sum(info.file_size for info in inside), sum(info.compress_size for info in inside))
    return inside


def hostile(info: zipfile.ZipInfo) -> str | None:
    """Tell what a member is that no publisher's is. We unpack nothing; that it tries is enough."""
    posix, windows = PurePosixPath(info.filename), PureWindowsPath(info.filename)
    if posix.is_absolute() or windows.drive or windows.root:
        return "has an absolute path"
    if ".." in (*posix.parts, *windows.parts):
        return "leads out of its folder"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "is a link to another file"
    return None


def refuse_overlap(name: str, every: Sequence[zipfile.ZipInfo], end: int) -> None:
    """Refuse members that share bytes, as those of a bomb do. Raises ImportInvalid."""
    ordered = sorted(every, key=lambda info: info.header_offset)
    starts = [*(info.header_offset for info in ordered[1:]), end]
    for info, following in zip(ordered, starts, strict=True):
        if info.header_offset + LOCAL_HEADER + info.compress_size > following:
            raise ImportInvalid(f"{name}: {info.filename!r} shares bytes with another: such an archive is not read")


def refuse_bomb(name: str, unpacked: int, packed: int) -> None:
    """Refuse what grows beyond measure when it is unpacked. Raises ImportInvalid."""
    if unpacked > UNPACKED_MAX:
        raise ImportInvalid(f"{name}: it holds more than {UNPACKED_MAX:,} bytes unpacked: import it in parts")
    if unpacked > max(RATIO_FROM, packed * RATIO_MAX):
        raise ImportInvalid(
            f"{name}: unpacked it is more than {RATIO_MAX} times as large, as no table is: else unpack it first"
        )
