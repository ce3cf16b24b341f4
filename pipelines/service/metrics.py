"""What the service counts, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_BATCH = (1, 2, 4, 8, 16, 32, 64, 128)


class ServiceMetrics:
    """Counters of one service.

    Attributes:
        registry: that holds them.
        requests: answered, by route, method and status.
        seconds: from the first byte of a request to the last of its answer, by route.
        batches: how many requests were worked on at once, by the work.
        remembered: vectors that were not computed again.
        pictures: in the index of each variant.
        opened: how often a variant was opened, as its index or its groups were made anew.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "lookalike_requests",
            "Requests answered",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "lookalike_request_seconds",
            "Time to answer a request",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.batches = Histogram(
            "lookalike_batch_size",
            "Requests worked on at once",
            ["work"],
            buckets=_BATCH,
            registry=self.registry,
        )
        self.remembered = Counter(
            "lookalike_remembered_vectors",
            "Query pictures that had been embedded before",
            registry=self.registry,
        )
        self.pictures = Gauge(
            "lookalike_index_pictures",
            "Pictures in an index",
            ["variant"],
            registry=self.registry,
        )
        self.opened = Counter(
            "lookalike_variant_opened",
            "Times a variant was opened, as its index or its groups were made anew",
            ["variant"],
            registry=self.registry,
        )
