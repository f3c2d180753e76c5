"""What Prometheus reads at ``/metrics``. No text of any question is in it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from service.rendering import Rendered

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Seconds: a stage takes some tenths of a millisecond, a crowded question seconds.
_BUCKETS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1, 2, 4, 8)


class Metrics:
    """The counters of one application."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._questions = Counter("passages_questions", "Questions answered.", ["verdict"], registry=self._registry)
        self._turned_away = Counter("passages_turned_away", "Requests not served.", ["reason"], registry=self._registry)
        self._seconds = Histogram(
            "passages_question_seconds", "A question, without waiting for its turn.", registry=self._registry, buckets=_BUCKETS
        )
        self._stages = Histogram(
            "passages_stage_seconds", "A stage of a question.", ["stage"], registry=self._registry, buckets=_BUCKETS
        )
        Info("passages", "The release.", registry=self._registry).info({"version": version("passages")})

    def answered(self, answer: Rendered) -> None:
        """A question was answered."""
        self._questions.labels(answer.verdict).inc()
        self._seconds.observe(answer.seconds)
        for stage, seconds in answer.stages.items():
            self._stages.labels(stage).observe(seconds)

    def turned_away(self, reason: str) -> None:
        """A request was not served."""
        self._turned_away.labels(reason).inc()

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """A number that is asked for whenever metrics are read."""
        Gauge(f"passages_{name}", what, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """All of it, in Prometheus' format."""
        return generate_latest(self._registry)
