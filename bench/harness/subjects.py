"""The clients that are measured: how each is started for a task, and what it cannot do."""
import sys
from dataclasses import dataclass
from pathlib import Path

from harness.measure import Command
from peers import programs


@dataclass
class Task:
    """One run: what to do, where."""

    # retr, list, poll, maildir; prime: a poll that makes the state for later ones; show: hand over message 1
    job: str
    port: int
    count: int
    octets: int
    # The CA to trust, if the session is TLS from the first octet
    ca: Path | None
    # A new folder, or for poll and prime the one with the state
    folder: Path


# Peers that deliver all that the mailbox holds, and so need a mailbox of the right size.
TAKES_ALL = ("mpop", "fetchmail", "fdm", "getmail6", "popwire fetch")

# What a peer cannot do at all, by the name of the row.
CANNOT = {
    ("async-pop", "list"): "a list that takes more than one read never ends for it",
    ("pop3-client", "large-tls"): "no TLS: the feature that its sources ask for is not declared",
    ("pop3-client", "small-tls"): "no TLS: the feature that its sources ask for is not declared",
}


class Subjects:
    def __init__(self, places):
        self.places = places

    def command(self, name, task):
        """The command that does the task."""
        if name.startswith(("limit", "popwire")):
            return self._ours(name, task)
        if name in _PROGRAMS:
            return _PROGRAMS[name](task)
        if name in _SCRIPTS:
            interpreter, script = _SCRIPTS[name]
            argv = [*interpreter, self.places.peers / script]
        else:
            argv = [self.places.rust_peers, name]
        argv += [task.job, task.port, task.count]
        if task.job == "maildir":
            maildir = task.folder / "Maildir"
            return Command([*argv, "-", maildir], maildir=maildir)
        return Command(argv + ([task.ca] if task.ca else []))

    def _ours(self, name, task):
        tls = ["--tls", "--ca", task.ca] if task.ca else []
        session = ["--port", task.port, *tls]
        maildir = task.folder / "Maildir"
        if name == "popwire fetch":
            url = f"pop://{programs.USER}@127.0.0.1:{task.port}"
            argv = [self.places.popwire, "fetch", url, "--insecure-plaintext", "--quiet", "--maildir", maildir,
                    "--state", task.folder / "state"]
            return Command(argv, {"POPWIRE_PASSWORD": programs.PASSWORD}, maildir=maildir)
        program, _, rest = name.partition(" ")
        binary = self.places.binaries / f"bench-{program}"
        if program == "limit" and rest:
            files = ["--dir", maildir, "--count", task.count, "--octets", task.octets, "--flush", rest]
            return Command([binary, "maildir", *files], maildir=maildir)
        door = []
        if program == "popwire":
            way, _, mechanism = rest.partition(" ")
            door = ["--door", way]
            if mechanism:
                door += ["--mechanism", mechanism.lower()]
        count = ["--count", task.count] if task.job == "retr" else []
        return Command([binary, task.job, *count, *door, *session])


_PROGRAMS = {
    "curl": programs.curl,
    "mpop": programs.mpop,
    "fetchmail": programs.fetchmail,
    "getmail6": programs.getmail6,
    "fdm": programs.fdm,
}
_SCRIPTS = {
    # Not by the name python3, which may be a script that looks for one
    "poplib": ([sys.executable], "client.py"),
    "Net::POP3": (["perl"], "client.pl"),
    "net-pop": (["ruby"], "client.rb"),
    "node-pop3": (["node"], "client.mjs"),
}
