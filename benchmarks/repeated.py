"""How fast an answer is given again, against a bare uvicorn application that gives the same bytes.

One worker each, 16 keep-alive connections, 200 with its body and 304 by If-None-Match. The two servers run at once and
are asked in turn, by a client that costs little: it counts bytes, since every answer has the same length.
"""

import os
import selectors
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from runs import Client, Workplace, environment, free_port, serving

CONNECTIONS = 16
PATH = "/v1/trade/flows?limit=100"
GOAL = 0.8
PAGE, SHOWN = "/trade", "/v1/trade/flows?limit=50"
"""A page of the explorer, and the JSON that it shows."""
Send = Callable[[dict[str, Any]], Awaitable[None]]


def bare() -> Callable[[dict[str, Any], Any, Send], Awaitable[None]]:
    """Give the peer: it answers the bytes of a file, or 304 to whoever holds a tag, and does nothing else."""
    body, head = (Path(os.environ[name]).read_bytes() for name in ("KHORGOS_BENCH_BODY", "KHORGOS_BENCH_HEAD"))
    lines = [line.split(b": ", 1) for line in head.split(b"\r\n") if not line.startswith(b"date:")]
    headers = [(name, value) for name, value in lines]
    of_body = (b"content-type", b"content-length", b"link")
    whole = {"type": "http.response.start", "status": 200, "headers": headers}
    unchanged = {**whole, "status": 304, "headers": [one for one in headers if one[0] not in of_body]}

    async def answer(scope: dict[str, Any], _: Any, send: Send) -> None:
        if scope["type"] != "http":
            return
        is_held = any(name == b"if-none-match" for name, _ in scope["headers"])
        await send(unchanged if is_held else whole)
        await send({"type": "http.response.body", "body": b"" if is_held else body})

    return answer


def requests_a_second(port: int, request: bytes, seconds: float) -> float:
    """Give the answers a second to one request, which must all have one length, over 16 connections."""
    size = len(first_answer(port, request))
    buffer = bytearray(1 << 20)
    done, chosen = 0, selectors.DefaultSelector()
    left = {}
    for _ in range(CONNECTIONS):
        one = socket.create_connection(("127.0.0.1", port), 60)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        chosen.register(one, selectors.EVENT_READ)
        left[one] = size
        one.sendall(request)
    start = time.perf_counter()
    while time.perf_counter() < start + seconds:
        for key, _ in chosen.select(1):
            one: Any = key.fileobj
            left[one] -= one.recv_into(buffer)
            if left[one] == 0:
                done += 1
                left[one] = size
                one.sendall(request)
    taken = time.perf_counter() - start
    for one in left:
        one.close()
    return done / taken


def first_answer(port: int, request: bytes) -> bytes:
    """Give an answer with its head; the request is asked to be the last of its connection to know where it ends."""
    with socket.create_connection(("127.0.0.1", port), 60) as one:
        one.sendall(request)
        found = b""
        while b"\r\n\r\n" not in found:
            found += one.recv(1 << 20)
        head, _, body = found.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        while len(body) < length:
            body += one.recv(1 << 20)
    return head + b"\r\n\r\n" + body


def request_for(path: str = PATH, **headers: str) -> bytes:
    """Give a request for a path."""
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def repeated(place: Workplace, rows: int, seconds: float, rounds: int) -> Iterator[tuple[str, float, float, float]]:
    """Give for 200 and 304 our answers a second, the peer's, and the ratio, each the median of some rounds; for `page`
    those of a page of the explorer, and of the JSON that it shows."""
    url = place.database("sqlite")
    place.import_file(url, place.file(rows, "2019-2021"))
    ours, theirs = free_port(), free_port()
    command = [place.khorgos, "serve", "--no-setup", "--port", str(ours)]
    with serving(command, ours, "/readyz", environment(url), place.folder):
        body = place.folder / "body"
        body.write_bytes(Client(ours).get(PATH))
        answer = first_answer(ours, request_for())
        head = place.folder / "head"
        head.write_bytes(answer.partition(b"\r\n\r\n")[0].partition(b"\r\n")[2])
        tag = next(line for line in answer.decode().split("\r\n") if line.lower().startswith("etag:"))[5:].strip()
        peer = [sys.executable, "-m", "uvicorn", "--factory", "repeated:bare", "--port", str(theirs)]
        told = {
            "KHORGOS_BENCH_BODY": str(body),
            "KHORGOS_BENCH_HEAD": str(head),
            "PYTHONPATH": str(Path(__file__).parent),
        }
        with serving([*peer, "--no-server-header"], theirs, "/", told, place.folder):
            for kind, request in (("200", request_for()), ("304", request_for(**{"If-None-Match": tag}))):
                assert first_answer(ours, request).startswith(f"HTTP/1.1 {kind}".encode())
                pairs = [
                    (requests_a_second(ours, request, seconds), requests_a_second(theirs, request, seconds))
                    for _ in range(rounds)
                ]
                yield kind, *compared(pairs)
        page, shown = request_for(PAGE), request_for(SHOWN)
        pairs = [
            (requests_a_second(ours, page, seconds), requests_a_second(ours, shown, seconds)) for _ in range(rounds)
        ]
        yield "page", *compared(pairs)


def compared(pairs: list[tuple[float, float]]) -> tuple[float, float, float]:
    """Give the medians of two rates, and that of their ratio."""
    rate, other_rate = (median(one) for one in zip(*pairs, strict=True))
    return rate, other_rate, median(one / other for one, other in pairs)
