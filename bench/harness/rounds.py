"""Measure the rows: every round runs each subject of a row once, so that all see the same machine."""
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from harness import measure
from harness.results import Measured, Series
from harness.subjects import CANNOT, TAKES_ALL, Task
from harness.workloads import PEERS
from peers import programs

# The small session that the memory of the large one is compared with.
SMALL = 1000


class Bench:
    def __init__(self, subjects, servers, folder, rounds, quick, log=sys.stderr):
        self.subjects = subjects
        self.servers = servers
        self.folder = Path(folder)
        self.rounds = rounds
        self.quick = quick
        self.log = log
        self.began = time.monotonic()

    def say(self, text):
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", file=self.log, flush=True)

    def new_folder(self):
        """A new one for each run: files that are made where thousands were deleted cost more."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        folder.chmod(0o755)
        return folder

    def row(self, row, wanted):
        """Measure the row's subjects that are wanted."""
        if self.quick:
            row = replace(row, messages=row.quick)
        names = [name for name in ("limit", *row.subjects) if wanted(name) or row.bar_needs(name)]
        if row.job in ("poll", "maildir"):
            # There is no bare loop for a poll, and one for each way to flush for files.
            names.remove("limit")
        self.say(f"row {row.number}: {row.title}")
        series = {name: Series(reason=CANNOT.get((name, row.name), "")) for name in names}
        runners = {}
        for name, one in series.items():
            if not one.reason:
                runners[name] = self._attempt(name, one, self._prepare, row, name, one)
        # Peers are many, and far from any bar: three rounds are enough for them, and one where little varies.
        peer_rounds = 1 if row.job == "memory" or row.line or self.quick else 3
        for number in range(self.rounds):
            for name, runner in runners.items():
                one = series[name]
                if not one.reason and (number < peer_rounds or name not in PEERS or row.bar_needs(name)):
                    cost = self._attempt(name, one, runner)
                    if cost:
                        one.costs.append(cost)
        measured = Measured(row.messages, series)
        if row.job == "maildir":
            self._best_loop(measured)
        return measured

    def _attempt(self, name, series, do, *arguments):
        """Do it; if it fails, that is the reason why there are no figures."""
        try:
            return do(*arguments)
        except measure.Failed as failure:
            series.reason = f"failed: {failure}"
            self.say(f"  {name} {series.reason}")
            return None

    def _prepare(self, row, name, series):
        """Find out how many messages the subject can have, and return what runs it once."""
        if row.job == "poll":
            return self._poll(row, name)
        if row.job == "memory":
            return lambda: self._memory(row, name)
        if name not in PEERS or row.bar_needs(name) or row.job == "list":
            return lambda: self._once(row, name, row.messages)
        # Ever more messages, until a run takes so much longer than its start that it tells how long all would take.
        patience = row.patience[self.quick]
        few = count = max(1, row.messages // 1000)
        start = wall = self._once(row, name, few).wall
        while wall - start < patience / 4 and count < row.messages:
            count = min(4 * count, row.messages)
            wall = self._once(row, name, count).wall
        fits = row.messages if wall <= start else _round(few + patience * (count - few) / (wall - start))
        if 2 * fits >= row.messages:
            return lambda: self._once(row, name, row.messages)
        series.count = max(2 * few, fits)
        return lambda: self._extrapolated(row, name, few, series.count)

    def _extrapolated(self, row, name, few, count):
        """What all messages would cost, from runs with two counts: the start of a process is paid once."""
        small, large = self._once(row, name, few), self._once(row, name, count)
        share = (row.messages - few) / (count - few)
        wall, cpu = (a + max(0, b - a) * share for a, b in ((small.wall, large.wall), (small.cpu, large.cpu)))
        return measure.Cost(wall, cpu)

    def _once(self, row, name, count, octets=None, memory=False):
        octets = octets or row.octets
        server, port = self.servers.server(count if name in TAKES_ALL else row.messages, octets, "base64", row.tls)
        ca = self.servers.ca(count if name in TAKES_ALL else row.messages, octets, "base64") if row.tls else None
        if row.line:
            port = self.servers.relay(port, row.line)
        job = "retr" if row.job == "memory" else row.job
        task = Task(job, port, count, octets, ca, self.new_folder())
        retrieved = 0 if job == "list" else count
        cost = self._counted(server, self.subjects.command(name, task), retrieved, name.startswith("limit "), memory=memory)
        self.say(f"  {name}: {count} in {cost.wall:.3f} s, CPU {cost.cpu:.3f} s")
        return cost

    def _counted(self, server, command, retrieved, no_server=False, **options):
        """Run the command; it counts if the server and the files say that all was done."""
        server.forget()
        try:
            cost, _ = measure.run(command, **options)
        except measure.Failed:
            # Its session must not be counted as that of the next.
            server.retrieved(1)
            raise
        seen = retrieved if no_server else server.retrieved(retrieved)
        if seen != retrieved:
            raise measure.Failed(f"the server saw {seen} RETR, not {retrieved}")
        if command.maildir and retrieved:
            files = len(programs.maildir_files(command.maildir))
            if files != retrieved:
                raise measure.Failed(f"there are {files} files, not {retrieved}")
        return cost

    def _memory(self, row, name):
        """What a session with large messages holds over one with small ones."""
        small = self._once(row, name, row.messages, SMALL, memory=True)
        large = self._once(row, name, row.messages, memory=True)
        return measure.Cost(large.wall, large.cpu, max(0, large.memory - small.memory))

    def _poll(self, row, name):
        """Let the peer see everything once, next door; then each run asks again from far away."""
        server, near = self.servers.server(row.messages, row.octets, "base64", False)
        far = self.servers.relay(near, row.line)
        task = Task("poll", far, row.messages, row.octets, None, self.new_folder())
        if name in PEERS:
            # One of them flushes every message that it has not seen, and takes its time.
            prime = self.subjects.command(name, replace(task, job="prime", port=near))
            self._counted(server, prime, row.messages, deadline=4 * measure.DEADLINE)

        def once():
            cost = self._counted(server, self.subjects.command(name, task), 0)
            self.say(f"  {name}: {cost.wall / 0.050:.2f} round trips")
            return cost

        return once

    def _best_loop(self, measured):
        """`limit` is the fastest of the loops that flush."""
        loops = {name: measured.figure("wall", name) for name in measured.series if name.startswith("limit ")}
        loops = {name: wall for name, wall in loops.items() if wall}
        if loops:
            best = min(loops, key=loops.get)
            self.say(f"  the fastest loop: {best}")
            measured.series["limit"] = measured.series[best]

    def decoder(self):
        """What bench-decoder prints, a dictionary for each line."""
        self.say("row 10: the decoder alone")
        _, out = measure.run(measure.Command([self.subjects.places.binaries / "bench-decoder"]))
        return [json.loads(line) for line in out.splitlines() if line.strip()]

    def clear(self):
        """At the end only; see new_folder."""
        self.servers.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def _round(count):
    """With one digit that is not zero: 1,000 and not 1,234."""
    count = int(count)
    size = 10 ** max(0, len(str(count)) - 1)
    return max(1, count // size * size)


def file_system(folder):
    """The type of the file system that a folder is on."""
    best = ("", "unknown")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if os.path.commonpath([place, folder]) == place and len(place) >= len(best[0]):
            best = (place, kind)
    return best[1]
