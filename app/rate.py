"""How often one client may ask: by address, in fixed windows, of this process alone.

Off unless a setting says otherwise; where several processes or machines serve, the proxy before them counts.
"""

import math
import time
from collections import OrderedDict
from ipaddress import IPv6Address

from limits import RateLimitItem, parse_many
from limits.storage.base import Storage
from limits.strategies import FixedWindowRateLimiter
from starlette.types import Scope

from app.errors import TooManyRequests

CLIENTS = 50_000
"""Windows that are remembered; beyond, the one that was opened first goes, so that addresses by the million fill no
memory."""
Header = tuple[bytes, bytes]


class Windows(Storage):
    """Counts of requests in windows of time, up to so many of them. Not for several threads at one key."""

    def __init__(self, most: int = CLIENTS) -> None:
        super().__init__()
        self.most = most
        self._open: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def base_exceptions(self) -> type[Exception]:
        """What this storage fails with."""
        return KeyError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count, and give how many there are in this window."""
        now = time.time()
        count, end = self._open.get(key, (0, 0.0))
        if end <= now:
            self._open.pop(key, None)
            count, end = 0, now + expiry
        self._open[key] = (count + amount, end)
        if len(self._open) > self.most:
            self._open.popitem(last=False)
        return count + amount

    def get(self, key: str) -> int:
        """Give how many there are in this window."""
        count, end = self._open.get(key, (0, 0.0))
        return count if end > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """Give when this window ends."""
        return self._open.get(key, (0, time.time()))[1]

    def check(self) -> bool:
        """Whether it can be asked."""
        return True

    def reset(self) -> int:
        """Forget all; give how many there were."""
        count = len(self._open)
        self._open.clear()
        return count

    def clear(self, key: str) -> None:
        """Forget one."""
        self._open.pop(key, None)


class Rate:
    """The limits of a process: of all requests, and of those that take a place for exports."""

    def __init__(self, requests: str, exports: str, most: int = CLIENTS) -> None:
        self.windows = Windows(most)
        self.limiter = FixedWindowRateLimiter(self.windows)
        self.requests = limits_of(requests)
        self.exports = limits_of(exports)
        named = [*(("requests", one) for one in self.requests), *(("exports", one) for one in self.exports)]
        told = ", ".join(f"{name_of(kind, one)};q={one.amount};w={one.get_expiry()}" for kind, one in named)
        self.policy: Header = (b"ratelimit-policy", told.encode())

    def visit(self, scope: Scope) -> "Visit":
        """Give what counts a request."""
        return Visit(self, client_of(scope))


class Visit:
    """A request as the limits see it."""

    def __init__(self, rate: Rate, client: str) -> None:
        self.rate = rate
        self.client = client
        self.counted = ["requests"] if rate.requests else []

    def count(self) -> None:
        """Count the request. Raises TooManyRequests."""
        self._hit("requests", self.rate.requests)

    def export(self) -> None:
        """Count an export that begins. Raises TooManyRequests."""
        if self.rate.exports and "exports" not in self.counted:
            self.counted.append("exports")
            self._hit("exports", self.rate.exports)

    def headers(self) -> list[Header]:
        """Give the headers that tell the limits and what is left of those that this request counts in."""
        left = []
        for kind in self.counted:
            for one in self.rate.requests if kind == "requests" else self.rate.exports:
                remaining, wait = self._state(kind, one)
                left.append(f"{name_of(kind, one)};r={remaining};t={wait}")
        return [self.rate.policy, *([(b"ratelimit", ", ".join(left).encode())] if left else [])]

    def _hit(self, kind: str, limits: tuple[RateLimitItem, ...]) -> None:
        over = [one for one in limits if not self.rate.limiter.hit(one, kind, self.client)]
        if over:
            wait = max(self._state(kind, one)[1] for one in over)
            message = f"more than {' and '.join(map(spelled, over))} {kind} came from this address"
            raise TooManyRequests(message, headers={"Retry-After": str(wait)})

    def _state(self, kind: str, one: RateLimitItem) -> tuple[int, int]:
        """Give how many are left, and in how many seconds the window ends."""
        end, left = self.rate.limiter.get_window_stats(one, kind, self.client)
        return left, max(1, math.ceil(end - time.time()))


def limits_of(text: str) -> tuple[RateLimitItem, ...]:
    """Read a setting, the shortest window first."""
    return tuple(sorted(parse_many(text), key=lambda one: one.get_expiry())) if text else ()


def name_of(kind: str, limit: RateLimitItem) -> str:
    """Give the name of a limit, as a structured header has it."""
    return f'"{kind}-{limit.get_expiry()}s"'


def spelled(limit: RateLimitItem) -> str:
    """Give a limit in words."""
    seconds = limit.get_expiry()
    return f"{limit.amount} in {'a second' if seconds == 1 else f'{seconds} seconds'}"


def client_of(scope: Scope) -> str:
    """Give who is counted as one: an IPv4 address, or the /64 of an IPv6 address, which one household has."""
    host = str((scope.get("client") or ("-",))[0])
    if ":" not in host:
        return host
    try:
        address = IPv6Address(host)
    except ValueError:
        return host
    return str(address.ipv4_mapped or address.packed[:8].hex())
