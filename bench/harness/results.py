"""What was measured, and how it is kept between a run and its report."""
import json
import statistics
from dataclasses import asdict, dataclass, field

from harness.measure import Cost


@dataclass
class Series:
    """The runs of one subject in one row."""

    # The messages of each run if it is slow and had fewer than the row, so that its costs are extrapolated
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
        """The median of wall, cpu (seconds) or memory (octets) or None."""
        series = self.series.get(subject)
        if not series or series.reason or not series.costs:
            return None
        return statistics.median(getattr(cost, name) for cost in series.costs)

    def ratio(self, name, subject, against):
        """The median, over the rounds, of the subject's figure divided by the other's in the same round, or None."""
        series = [self.series.get(subject), self.series.get(against)]
        if any(not one or one.reason or not one.costs for one in series):
            return None
        # A peer has fewer rounds, the first ones.
        pairs = zip(*(one.costs for one in series), strict=False)
        return statistics.median(getattr(mine, name) / getattr(base, name) for mine, base in pairs)


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
