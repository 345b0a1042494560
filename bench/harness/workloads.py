"""The rows of the table: what every client has to do, and the bar that popwire has to keep.

A bar compares a figure of popwire with the same figure of another subject in the same run: most often of `limit`, a
loop over a bare socket, or over bare files, that does the least that can be done.
"""
from dataclasses import dataclass
from typing import NamedTuple

KB = 1000
MB = 1000 * KB
MIB = 1 << 20

# Those that can receive mail and drop it.
RECEIVERS = ("curl", "mpop", "fetchmail", "fdm", "poplib", "Net::POP3", "net-pop", "node-pop3",
             "pop3-client", "rust-pop3-client", "async-pop", "rs-pop3")
# getmail6 delivers to files only.
PEERS = RECEIVERS + ("getmail6",)
DOORS = ("popwire blocking", "popwire tokio")
FILES = ("limit each", "limit syncfs", "limit threads")


class Bar(NamedTuple):
    """`figure` of popwire, divided by that of `against` (or by `unit` if that is None), is at most `value`."""

    figure: str
    value: float
    text: str
    against: str | None = "limit"
    unit: float = 1
    # Only subjects whose name ends so.
    only: str = ""
    # Only whole units count: the part of a round trip is the time that it takes to start a process.
    whole: bool = False


class Line(NamedTuple):
    """A line of some length: milliseconds for a round trip, and octets a second if that is bounded."""

    round_trip: int
    rate: int = 0


# A good line to a provider on the same continent: 160 Mbit/s. Without a bound the limit would have all mail one round
# trip after it asked, which no line does.
FAR = Line(50, 20 * MB)
NEVER_FULL = Line(50)


@dataclass(frozen=True)
class Row:
    number: int
    name: str
    title: str
    # retr, list, poll, maildir, memory or decoder
    job: str
    messages: int
    octets: int
    # The messages with --quick
    quick: int
    # What the table compares: cpu, wall, or memory
    figure: str
    bars: tuple
    # The others that are not limit
    subjects: tuple
    tls: bool = False
    # Between the clients and the server; without one they are on the same machine.
    line: Line | None = None
    # Seconds that a run of a peer may take; it gets fewer messages if it needs longer. And with --quick.
    patience: tuple = (1.0, 0.4)

    def bar_needs(self, name):
        """Whether a bar compares popwire with this subject, so that it has to be measured, and in full."""
        return any(bar.against == name for bar in self.bars)


POLLS = tuple(f"{door} {way}" for door in DOORS for way in ("USER", "PLAIN"))

ROWS = (
    Row(1, "large", "200 x 1 MB", "retr", 200, MB, 60, "cpu",
        (Bar("cpu", 1.25, "CPU at most 1.25 x limit"),), DOORS + RECEIVERS),
    Row(2, "small", "10,000 x 4 KB", "retr", 10_000, 4 * KB, 4_000, "wall",
        (Bar("wall", 2.0, "time at most 2 x limit"),), DOORS + RECEIVERS),
    Row(3, "large-tls", "200 x 1 MB, TLS 1.3", "retr", 200, MB, 60, "cpu",
        (Bar("cpu", 1.3, "CPU at most 1.3 x limit"),), DOORS + RECEIVERS, tls=True),
    Row(4, "small-tls", "10,000 x 4 KB, TLS 1.3", "retr", 10_000, 4 * KB, 4_000, "wall",
        (Bar("wall", 2.5, "time at most 2.5 x limit"),), DOORS + RECEIVERS, tls=True),
    Row(5, "far", "1,000 x 10 KB, 50 ms away, 160 Mbit/s", "retr", 1_000, 10 * KB, 1_000, "wall",
        (Bar("wall", 1.3, "time at most 1.3 x limit"),), DOORS + RECEIVERS, line=FAR, patience=(2.0, 0.5)),
    Row(6, "poll", "nothing new among 1,000, 50 ms away", "poll", 1_000, 500, 200, "wall",
        (Bar("wall", 6.0, "at most 6 round trips with USER and PASS", None, 0.050, only="USER", whole=True),
         Bar("wall", 5.0, "at most 5 with PLAIN", None, 0.050, only="PLAIN", whole=True)),
        POLLS + ("mpop", "fetchmail", "fdm", "getmail6"), line=NEVER_FULL),
    Row(7, "list", "LIST and UIDL of 20,000", "list", 20_000, 500, 20_000, "cpu",
        (Bar("cpu", 2.0, "CPU at most 2 x limit"),),
        DOORS + ("poplib", "Net::POP3", "net-pop", "node-pop3", "rust-pop3-client", "async-pop", "rs-pop3")),
    Row(8, "maildir", "2,000 x 10 KB, Maildir", "maildir", 2_000, 10 * KB, 1_000, "wall",
        (Bar("wall", 1 / 3, "at least 3 x the rate of mpop", "mpop"), Bar("wall", 1.3, "time at most 1.3 x limit")),
        FILES + ("popwire fetch", "mpop", "fdm", "fetchmail", "getmail6", "poplib")),
    Row(9, "huge", "4 x 25 MB", "memory", 4, 25 * MB, 2, "memory",
        (Bar("memory", 8.0, "memory less than 8 MiB over small messages", None, MIB),
         Bar("wall", 1.3, "time at most 1.3 x limit")),
        # These two need minutes for it.
        DOORS + tuple(peer for peer in RECEIVERS if peer not in ("async-pop", "rs-pop3"))),
    Row(10, "decoder", "decoder alone, in memory", "decoder", 0, 0, 0, "rate", (), ()),
)
