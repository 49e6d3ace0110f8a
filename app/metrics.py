"""Counts of the requests of one process. The thread of the event loop writes them and any may read: nothing is locked,
since an answer from memory takes but a few microseconds in all."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric

BOUNDS = Histogram.DEFAULT_BUCKETS
"""Seconds up to which answers are counted together; the last is infinite."""
LABELS = (*map(str, BOUNDS[:-1]), "+Inf")


class Tally:
    """Answers of one route with one status, by how long they took."""

    __slots__ = ("numbers", "seconds")

    def __init__(self) -> None:
        self.numbers = [0] * len(BOUNDS)
        self.seconds = 0.0

    def count(self, seconds: float) -> None:
        """Count an answer."""
        self.numbers[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds


class Metrics:
    """What `/metrics` gives."""

    def __init__(self) -> None:
        self.cached = 0
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self._tallies: dict[tuple[str, int | None], Tally] = {}

    def tally(self, route: str, status: int | None) -> Tally:
        """Give what counts the answers of a route with a status; null is one that never began."""
        found = self._tallies.get((route, status))
        if found is None:
            found = self._tallies[route, status] = Tally()
        return found

    def collect(self) -> Iterator[Metric]:
        """Give the counts to Prometheus."""
        requests = CounterMetricFamily("khorgos_requests", "Requests answered", labels=("route", "status"))
        seconds = HistogramMetricFamily("khorgos_request_seconds", "Time to the last byte", labels=("route",))
        routes: dict[str, list[Tally]] = {}
        for (route, status), tally in list(self._tallies.items()):
            requests.add_metric((route, str(status)), sum(tally.numbers))
            routes.setdefault(route, []).append(tally)
        for route, tallies in routes.items():
            upto = accumulate(map(sum, zip(*(tally.numbers for tally in tallies), strict=True)))
            buckets = list(zip(LABELS, upto, strict=True))
            seconds.add_metric((route,), buckets, sum(tally.seconds for tally in tallies))
        yield requests
        yield seconds
        yield CounterMetricFamily("khorgos_cached_answers", "Requests answered from memory", value=self.cached)
