"""What the HTTP front counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram


class ApiMetrics:
    """
    Requests to `/open/…` by API and status.

    Args:
        registry: Where they are shown; a fresh one where nobody looks.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry if registry is not None else CollectorRegistry()
        self._requests = Counter(
            "voiceblocks_api_requests",
            "Requests to the API.",
            ["api", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "voiceblocks_api_request_seconds",
            "Time from a request's headers to its answer.",
            ["api"],
            registry=registry,
            buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
        )

    def note(self, api: str, status: str, seconds: float) -> None:
        """Count one answered request; `api` is a known path, never what a client made up."""
        self._requests.labels(api, status).inc()
        self._seconds.labels(api).observe(seconds)
