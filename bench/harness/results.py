"""What was measured, and how it is kept between a run and its report."""
import json
import statistics
from dataclasses import asdict, dataclass, field

from harness.measure import Cost


@dataclass
class Series:
    """The runs of one subject in one row."""

    # The messages of each run; fewer than the row's if it is slow
    count: int = 0
    costs: list = field(default_factory=list)
    # Why there are none
    reason: str = ""


@dataclass
class Measured:
    """One row."""

    messages: int
    series: dict

    def figure(self, name, subject):
        """The median of wall, cpu (seconds) or memory (octets) for all messages of the row, or None."""
        series = self.series.get(subject)
        if not series or series.reason or not series.costs:
            return None
        median = statistics.median(getattr(cost, name) for cost in series.costs)
        return median * self.messages / series.count if series.count and name != "memory" else median

    def scaled(self, subject):
        """The messages of each run, if they were fewer than the row's."""
        count = self.series[subject].count if subject in self.series else 0
        return count if 0 < count < self.messages else None


@dataclass
class Results:
    # What is to be said about the run as a whole
    facts: dict
    rows: dict = field(default_factory=dict)
    # The lines of bench-decoder
    decoder: list = field(default_factory=list)
    # What each client makes of a message
    exact: dict = field(default_factory=dict)

    def save(self, path):
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path):
        results = cls(**json.loads(path.read_text()))
        for name, row in results.rows.items():
            series = {
                subject: Series(one["count"], [Cost(**cost) for cost in one["costs"]], one["reason"])
                for subject, one in row["series"].items()
            }
            results.rows[name] = Measured(row["messages"], series)
        return results
