"""Measures polars against pyarrow as readers of a Comtrade file in constant memory: blocks of 16 MB, all text.

    .venv/bin/python benchmarks/readers.py [--rows 1000000] [--block 16]

Each reads in a process of its own, the whole file or the columns an importer needs of each block, pyarrow in
benchmarks/.peers. Bytes that are no UTF-8 are replaced: by polars itself, for pyarrow on the way in.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
COLUMNS = [
    "typeCode",
    "freqCode",
    "refYear",
    "period",
    "reporterCode",
    "flowCode",
    "partnerCode",
    "partner2Code",
    "classificationCode",
    "cmdCode",
    "aggrLevel",
    "customsCode",
    "mosCode",
    "motCode",
    "qtyUnitCode",
    "qty",
    "netWgt",
    "isNetWgtEstimated",
    "cifvalue",
    "fobvalue",
    "primaryValue",
    "isReported",
]


def blocks(path: Path, size: int) -> Iterator[tuple[list[str], bytes]]:
    """Give whole lines in blocks, with the names of the header and one for the field after the last comma."""
    with path.open("rb") as file:
        names = [*file.readline().decode().rstrip("\n").split(","), "end"]
        rest = b""
        while chunk := file.read(size):
            whole, newline, rest = (rest + chunk).rpartition(b"\n")
            yield names, whole + newline
        if rest:
            yield names, rest


def read_polars(path: Path, size: int) -> int:
    """Read with polars; give the rows."""
    import polars as pl

    rows = 0
    for names, lines in blocks(path, size):
        frame = pl.read_csv(
            io.BytesIO(",".join(names).encode() + b"\n" + lines),
            columns=COLUMNS,
            infer_schema=False,
            encoding="utf8-lossy",
        )
        rows += frame.height
    return rows


def read_pyarrow(path: Path, size: int) -> int:
    """Read with pyarrow; give the rows."""
    import pyarrow as pa
    from pyarrow import csv

    rows = 0
    convert = csv.ConvertOptions(
        column_types=dict.fromkeys(COLUMNS, pa.string()), include_columns=COLUMNS, strings_can_be_null=False
    )
    for names, lines in blocks(path, size):
        if not lines.isascii():
            lines = lines.decode("utf-8", "replace").encode()
        table = csv.read_csv(
            io.BytesIO(lines),
            read_options=csv.ReadOptions(column_names=names, block_size=size),
            convert_options=convert,
        )
        rows += table.num_rows
    return rows


READERS = {"polars": read_polars, "pyarrow": read_pyarrow}


def measure(reader: str, path: Path, size: int) -> None:
    """Read once to load the library and once for the clock; print seconds, rows and peak memory as JSON."""
    import resource

    read = READERS[reader]
    with tempfile.NamedTemporaryFile() as small, path.open("rb") as file:
        small.write(b"".join(file.readline() for _ in range(3)))
        small.flush()
        read(Path(small.name), size)
    start = time.perf_counter()
    rows = read(path, size)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 if sys.platform != "darwin" else 1024)
    print(json.dumps({"seconds": seconds, "rows": rows, "mib": peak / 1024}))


def main() -> None:
    """Compare the readers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--block", type=int, default=16, help="MB")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", nargs=2, metavar=("READER", "FILE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        measure(args.only[0], Path(args.only[1]), args.block * 10**6)
        return
    from peers.tools import peer_python

    pythons = {"polars": sys.executable, "pyarrow": peer_python("pyarrow")}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "comtrade.csv"
        generate = [sys.executable, str(HERE / "generate.py"), "comtrade", str(path), "--rows", str(args.rows)]
        subprocess.run(generate, check=True)
        print(
            f"{args.rows} rows, {path.stat().st_size / 1e6:.0f} MB, blocks of {args.block} MB, {os.cpu_count()} cores"
        )
        found: dict[str, list[dict[str, float]]] = {}
        for _ in range(args.repeat):
            for reader, python in pythons.items():
                if python:
                    command = [python, __file__, "--block", str(args.block), "--only", reader, str(path)]
                    found.setdefault(reader, []).append(json.loads(subprocess.check_output(command)))
    report(found)


def report(found: dict[str, list[dict[str, float]]]) -> None:
    """Print medians and the ratio."""
    seconds = {reader: median(run["seconds"] for run in runs) for reader, runs in found.items()}
    for reader, runs in found.items():
        peak = max(run["mib"] for run in runs)
        print(f"{reader:8} {seconds[reader]:6.2f} s  {peak:5.0f} MiB  {runs[0]['rows']:.0f} rows")
    if "pyarrow" in seconds:
        print(f"polars takes {seconds['polars'] / seconds['pyarrow']:.2f} times the time of pyarrow")
    else:
        print("pyarrow could not be installed into benchmarks/.peers: no ratio")


if __name__ == "__main__":
    main()
