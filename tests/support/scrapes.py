"""What Prometheus's own parser reads from a page of ours."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scrape:
    """One page of /metrics."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self._samples: Samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def __getitem__(self, name: str) -> float:
        """Of a metric without labels."""
        return self.of(name)

    def of(self, name: str, **labels: str) -> float:
        """Of a metric with just these labels."""
        return self._samples[name, frozenset(labels.items())]
