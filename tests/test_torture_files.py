"""Files that are broken, damaged on their way or made to hurt are refused before anything is published."""

import gzip
import hashlib
import io
import random
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Workshop, times
from nursery import Nursery
from trade_files import FLOW, Row, comtrade_text, counts, everything, parsed, partners, take, values, written

from app.db import Database
from app.errors import ImportInvalid
from app.ingest import archives, blocks

PLAIN = comtrade_text(*partners(40))
MIB = 2**20


@pytest.fixture(scope="module")
def shared(engine: str, workshop: Workshop) -> Database:
    """Give a seeded database that only refused imports are tried on."""
    return workshop.copy(engine)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """Give the flows of the file that is damaged below."""
    return [{**FLOW, "product": f"{n:06}", "value_usd": 1000 + n} for n in range(1, 41)]


def packed(folder: Path, suffix: str, text: str = PLAIN) -> Path:
    """Write a file as it comes."""
    path = folder / f"whole{suffix}"
    if suffix != ".zip":
        return written(path, text)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/whole.csv", text)
    return path


def sha256(path: Path) -> str:
    """Give the hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.torture
@pytest.mark.parametrize("suffix", [".csv.gz", ".zip"])
def test_an_archive_cut_off_anywhere_is_refused(tmp_path: Path, suffix: str, record_property: Any) -> None:
    whole = packed(tmp_path, suffix).read_bytes()
    cut = tmp_path / f"cut{suffix}"
    places = range(0, len(whole) - 1, times(7, 1))
    for end in places:
        cut.write_bytes(whole[:end])
        with pytest.raises(ImportInvalid):
            parsed(cut)
    record_property("figure", f"{len(places)} cut files, all refused")


@pytest.mark.torture
@pytest.mark.parametrize("suffix", [".csv.gz", ".zip"])
def test_an_archive_with_a_bit_flipped_is_refused_or_gives_the_same_rows(
    tmp_path: Path, rows: list[Row], suffix: str, record_property: Any
) -> None:
    whole, chance, refused = packed(tmp_path, suffix).read_bytes(), random.Random(suffix), 0
    damaged = tmp_path / f"damaged{suffix}"
    flips = times(300, 8 * len(whole))
    bits = range(8 * len(whole)) if flips == 8 * len(whole) else chance.sample(range(8 * len(whole)), flips)
    for bit in bits:
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.write_bytes(flipped)
        try:
            assert parsed(damaged) == (rows, [], {}), f"bit {bit}"
        except ImportInvalid:
            refused += 1
    record_property("figure", f"{len(bits)} flips: {refused} refused, the rest gave the same rows")
    assert refused > flips / 2


def test_a_file_that_has_not_the_declared_hash_is_refused_before_it_is_read(shared: Database, tmp_path: Path) -> None:
    before = everything(shared)
    path = packed(tmp_path, ".csv")
    meant = sha256(path)
    flipped = bytearray(path.read_bytes())
    flipped[-20] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(ImportInvalid, match=f"whole.csv: its SHA-256 is {sha256(path)}, not {meant}"):
        take(shared, path, sha256=[meant])
    assert everything(shared) == before


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("0" * 63,), "'0{63}' is no SHA-256: it has 64 hexadecimal digits"),
        (("g" * 64,), "'g{64}' is no SHA-256"),
        (("",), "'' is no SHA-256"),
        (("0" * 64, "0" * 64), "--sha256 is given 2 for 1 files: give one for each file, in their order"),
    ],
)
def test_a_hash_of_a_wrong_form_is_refused(shared: Database, tmp_path: Path, given: Any, said: str) -> None:
    with pytest.raises(ImportInvalid, match=said):
        take(shared, packed(tmp_path, ".csv"), sha256=given)


def test_files_of_the_declared_hashes_are_imported(private_seeded: Database, tmp_path: Path) -> None:
    files = [written(tmp_path / f"{n}.csv", comtrade_text({"cmdCode": f"0{n}"})) for n in (1, 2)]
    hashes = [sha256(path) for path in files]
    with pytest.raises(ImportInvalid, match=r"1\.csv: its SHA-256"):
        take(private_seeded, *files, sha256=hashes[::-1])
    done = take(private_seeded, *files, sha256=[hashes[0].upper(), hashes[1]])
    assert counts(done) == {"added": 2}
    assert values(private_seeded) == {"01": 1000, "02": 1000}


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Give the warm process that runs commands."""
    warm = Nursery(tmp_path_factory.mktemp("nursery"))
    yield warm
    warm.close()


@pytest.mark.parametrize("kind", ["comtrade", "baci"])
def test_the_commands_take_a_hash_for_each_file(nursery: Nursery, shared: Database, tmp_path: Path, kind: str) -> None:
    path, environment = packed(tmp_path, ".csv"), {"KHORGOS_DATABASE_URL": shared.settings.database_url}
    more = ("--version", "V202401", "--hs", "92") if kind == "baci" else ()
    done = nursery.run("import", kind, path, *more, "--sha256", "0" * 64, environment=environment)
    assert (done.status, done.out) == (1, "")
    assert done.errors == (
        f"KHG301 whole.csv: its SHA-256 is {sha256(path)}, not {'0' * 64}: it is not the file that was meant, "
        "or it was damaged on its way; nothing was read\n"
    )


def bomb(path: Path, size: int) -> Path:
    """Write an archive of blank lines, a thousandth of what it is unpacked."""
    head, lines = PLAIN.encode(), b"\n" * MIB
    if path.suffix == ".zip":
        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open("bomb.csv", "w", force_zip64=True) as out,
        ):
            out.write(head)
            for _ in range(size // MIB):
                out.write(lines)
        return path
    with gzip.open(path, "wb") as out:
        out.write(head)
        for _ in range(size // MIB):
            out.write(lines)
    return path


@pytest.mark.torture
@pytest.mark.parametrize("suffix", [".csv.gz", ".zip"])
def test_a_bomb_is_refused_while_it_is_read_and_takes_little_memory(
    nursery: Nursery, shared: Database, tmp_path: Path, suffix: str, record_property: Any
) -> None:
    before = everything(shared)
    environment = {"KHORGOS_DATABASE_URL": shared.settings.database_url}
    path = bomb(tmp_path / f"bomb{suffix}", times(100, 4000) * MIB)
    usual = nursery.run("import", "comtrade", packed(tmp_path, suffix), "--dry-run", environment=environment)
    done = nursery.run("import", "comtrade", path, environment=environment)
    assert (done.status, done.out) == (1, "")
    assert "bomb" in done.errors and "unpacked it is more than 200 times as large" in done.errors
    assert everything(shared) == before
    more = (done.most - usual.most) / MIB
    record_property("figure", f"{path.stat().st_size:,} bytes on disk, {more:.0f} MiB more than a small import")
    assert more < 128


def test_a_file_of_blank_lines_takes_little_memory(nursery: Nursery, shared: Database, tmp_path: Path) -> None:
    environment = {"KHORGOS_DATABASE_URL": shared.settings.database_url}
    path = written(tmp_path / "blank.csv", PLAIN + "\n" * 6 * MIB)
    usual = nursery.run("import", "comtrade", packed(tmp_path, ".csv"), "--dry-run", environment=environment)
    done = nursery.run("import", "comtrade", path, "--dry-run", environment=environment)
    assert (done.status, done.errors) == (0, "")
    assert done.most - usual.most < 128 * MIB


def test_more_than_may_be_unpacked_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "UNPACKED_MAX", 1000)
    for suffix in (".csv.gz", ".zip", ".csv"):
        with pytest.raises(ImportInvalid, match="it holds more than 1,000 bytes unpacked: import it in parts"):
            parsed(packed(tmp_path, suffix))


def test_rows_that_are_much_alike_are_no_bomb(tmp_path: Path) -> None:
    text = comtrade_text(*partners(30_000))
    path = packed(tmp_path, ".zip", text)
    assert len(text) > archives.RATIO_FROM and len(text) / path.stat().st_size > 15
    assert len(parsed(path)[0]) == 30_000


def archive_of(path: Path, *members: tuple[str | zipfile.ZipInfo, str], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write an archive of members as they are named."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for named, text in members:
            archive.writestr(named, text)
    return path


def link(name: str) -> zipfile.ZipInfo:
    """Give what makes a member a symbolic link."""
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def overlapping(path: Path) -> Path:
    """Write an archive whose directory names one member twice."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", PLAIN)
        again = zipfile.ZipInfo("b.csv")
        first = archive.filelist[0]
        for name in ("header_offset", "compress_size", "file_size", "CRC", "compress_type"):
            setattr(again, name, getattr(first, name))
        archive.filelist.append(again)
    return path


ABSOLUTE, OUT = "has an absolute path", "leads out of its folder"
HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "absolute": (lambda path: archive_of(path, ("/etc/a.csv", PLAIN)), ABSOLUTE),
    "drive": (lambda path: archive_of(path, ("C:\\a.csv", PLAIN)), ABSOLUTE),
    "drive-relative": (lambda path: archive_of(path, ("C:a.csv", PLAIN)), ABSOLUTE),
    "share": (lambda path: archive_of(path, ("\\\\host\\share\\a.csv", PLAIN)), ABSOLUTE),
    "root": (lambda path: archive_of(path, ("\\a.csv", PLAIN)), ABSOLUTE),
    "above": (lambda path: archive_of(path, ("../a.csv", PLAIN)), OUT),
    "above-within": (lambda path: archive_of(path, ("x/../../a.csv", PLAIN)), OUT),
    "above-backslash": (lambda path: archive_of(path, ("x\\..\\a.csv", PLAIN)), OUT),
    "above-beside": (lambda path: archive_of(path, ("a.csv", PLAIN), ("../readme.md", "x")), OUT),
    "link": (lambda path: archive_of(path, (link("a.csv"), "/etc/passwd")), "is a link to another file"),
    "link-beside": (lambda path: archive_of(path, ("a.csv", PLAIN), (link("b"), "/")), "is a link to another file"),
    "overlapping": (overlapping, "shares bytes with another"),
    "bzip2": (lambda path: archive_of(path, ("a.csv", PLAIN), method=zipfile.ZIP_BZIP2), "packed in a way that"),
    "lzma": (lambda path: archive_of(path, ("a.csv", PLAIN), method=zipfile.ZIP_LZMA), "packed in a way that"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused_with_what_it_is(tmp_path: Path, kind: str) -> None:
    make, said = HOSTILE[kind]
    with pytest.raises(ImportInvalid, match=said) as refusal:
        parsed(make(tmp_path / "hostile.zip"))
    assert str(refusal.value).count("\n") == 0 and "hostile.zip" in str(refusal.value)


def test_folders_within_an_archive_are_harmless(tmp_path: Path, rows: list[Row]) -> None:
    path = archive_of(tmp_path / "a.zip", ("data/", ""), ("data/2023/a..b.csv", PLAIN), ("data/readme.md", "x"))
    assert parsed(path) == (rows, [], {})


def test_one_archive_of_gzip_in_parts_is_read_whole(tmp_path: Path, rows: list[Row]) -> None:
    path = tmp_path / "a.csv.gz"
    half = len(PLAIN) // 2
    path.write_bytes(gzip.compress(PLAIN[:half].encode()) + gzip.compress(PLAIN[half:].encode()))
    assert parsed(path) == (rows, [], {})


def test_what_comes_after_the_end_of_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(PLAIN.encode()) + b"more")
    with pytest.raises(ImportInvalid, match=r"a\.csv\.gz: the archive is broken or cut off"):
        parsed(path)


@pytest.mark.parametrize("place", ["middle", "end"])
def test_a_line_of_ten_megabytes_is_refused(tmp_path: Path, place: str) -> None:
    endless = "x" * 10 * MIB + ("\n" + PLAIN.splitlines()[1] if place == "middle" else "")
    with pytest.raises(ImportInvalid, match=r"a\.csv: a line after line 2 is longer than 1048576 bytes"):
        parsed(written(tmp_path / "a.csv", PLAIN + endless))


@pytest.mark.parametrize("size", [1, 7, 100, 1000, 10_000])
def test_the_size_of_a_block_changes_nothing(
    tmp_path: Path, rows: list[Row], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(blocks, "BLOCK", size)
    text = PLAIN if size > 99 else comtrade_text(*partners(3))
    found = parsed(written(tmp_path / "a.csv", text))
    assert found == (rows if size > 99 else rows[:3], [], {})


@pytest.mark.parametrize("place", ["header", "row"])
def test_a_carriage_return_within_a_line_is_told(tmp_path: Path, rows: list[Row], place: str) -> None:
    text = PLAIN.replace("typeCode,", "typeCode\r,", 1) if place == "header" else PLAIN + "a\rb,c\n"
    path = written(tmp_path / "a.csv", text)
    if place == "header":
        with pytest.raises(ImportInvalid, match=r"a\.csv: the first line names no columns"):
            parsed(path)
        return
    flows, bad, _ = parsed(path)
    assert (flows, [one["line"] for one in bad]) == (rows, [42])


DRESSES: dict[str, Callable[[str], bytes]] = {
    "bom": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "crlf": lambda text: text.replace("\n", "\r\n").encode(),
    "bom-crlf": lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
    "latin-1": lambda text: text.replace("Invented copper", "Cuivre inventé").encode("latin-1"),
    "no-end": lambda text: text.removesuffix("\n").encode(),
}


@pytest.mark.parametrize("dress", DRESSES)
def test_a_file_is_read_the_same_in_any_dress(tmp_path: Path, rows: list[Row], dress: str) -> None:
    assert parsed(written(tmp_path / "a.csv", DRESSES[dress](PLAIN))) == (rows, [], {})


BAD = {
    "year-0": ({"refYear": "0", "period": "0"}, "period '0' is no year and no month"),
    "year-0000": ({"refYear": "0000", "period": "0000"}, "period '0000' is not from 1900 to 2099"),
    "year-9999": ({"refYear": "9999", "period": "9999"}, "period '9999' is not from 1900 to 2099"),
    "nan": ({"primaryValue": "NaN"}, "value 'NaN' is no amount"),
    "negative": ({"primaryValue": "-5"}, "value '-5' is no amount"),
    "huge": ({"primaryValue": "1e999"}, "value '1e999' is no amount"),
    "nul-in-a-value": ({"primaryValue": "10\x0000"}, "value '10\x0000' is no amount"),
    "nul-in-a-code": ({"cmdCode": "74\x0011"}, "product '74\x0011' is no HS code of 2, 4 or 6 characters"),
    "country": ({"reporterCode": "99999"}, "reporter '99999' is no area that is known"),
    "length": ({"cmdCode": "7403110"}, "product '7403110' is no HS code of 2, 4 or 6 characters"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_row_is_told_with_its_line_and_costs_no_other(tmp_path: Path, rows: list[Row], kind: str) -> None:
    row, reason = BAD[kind]
    path = written(tmp_path / "a.csv", comtrade_text(*partners(40), row))
    assert parsed(path) == (rows, [{"line": 42, "reason": reason}], {})


@pytest.mark.torture
def test_random_bytes_are_refused_or_read_and_never_a_crash(tmp_path: Path, record_property: Any) -> None:
    chance, refused = random.Random(1), 0
    every = times(200, 20_000)
    for nth in range(every):
        suffix = (".csv", ".csv.gz", ".zip")[nth % 3]
        noise = chance.randbytes(chance.randrange(1, 400))
        text = bytearray(PLAIN.encode())
        start = chance.randrange(len(text))
        text[start : start + chance.randrange(400)] = noise
        data = {".csv": bytes(text), ".csv.gz": gzip.compress(bytes(text)), ".zip": zip_of(bytes(text))}[suffix]
        path = tmp_path / f"noise{suffix}"
        path.write_bytes(data)
        try:
            flows, bad, _ = parsed(path)
        except ImportInvalid:
            refused += 1
        else:
            assert len(flows) + len(bad) > 0
    record_property("figure", f"{every} files with noise, {refused} refused whole")


def zip_of(data: bytes) -> bytes:
    """Give an archive of one member."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", data)
    return out.getvalue()


def test_the_readers_of_archives_raise_nothing_that_is_not_told() -> None:
    assert {zlib.error, EOFError, zipfile.BadZipFile, gzip.BadGzipFile, NotImplementedError} <= set(archives.BROKEN)
