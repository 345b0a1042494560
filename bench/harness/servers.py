"""The server and the relay that all clients are measured against, and what the server counted."""
import json
import queue
import subprocess
import threading
from pathlib import Path


class Process:
    """A program that prints `ready PORT...` and then runs until it is ended."""

    def __init__(self, argv):
        argv = [str(argument) for argument in argv]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        words = self.process.stdout.readline().split()
        if words[:1] != [b"ready"]:
            raise SystemExit(f"{argv[0]} did not start")
        self.ports = [int(word) for word in words[1:]]

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Server(Process):
    def __init__(self, argv):
        super().__init__(argv)
        self.sessions = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            self.sessions.put(json.loads(line))

    def forget(self):
        """Forget the sessions that have ended."""
        while not self.sessions.empty():
            self.sessions.get()

    def retrieved(self, expected):
        """The messages that were retrieved in sessions that ended since: waits until they are as many as expected."""
        count = 0
        try:
            count += self.sessions.get(timeout=5)["retr"]
            while count < expected:
                count += self.sessions.get(timeout=1)["retr"]
        except queue.Empty:
            pass
        return count


class Servers:
    """One server for each mailbox that is asked for, started when it is first needed, with relays in front of them."""

    def __init__(self, binaries, folder):
        self.binaries = binaries
        self.folder = Path(folder)
        self.servers = {}
        self.relays = {}

    def server(self, messages, octets, text, tls):
        """The server, and the port to go to. The CA of one with TLS is `ca(...)`."""
        key = (messages, octets, text, tls)
        if key not in self.servers:
            argv = [self.binaries / "bench-server", "--messages", messages, "--octets", octets, "--text", text]
            if tls:
                argv += ["--tls", "--ca", self.ca(*key)]
            self.servers[key] = Server(argv)
        server = self.servers[key]
        return server, server.ports[-1 if tls else 0]

    def ca(self, messages, octets, text, _tls=True):
        return self.folder / f"ca-{text}-{messages}-{octets}.pem"

    def relay(self, port, line):
        """A port that leads to the other one, at the end of this line."""
        key = (port, line)
        if key not in self.relays:
            argv = [self.binaries / "bench-relay", "--to", port, "--round-trip", line.round_trip]
            if line.rate:
                argv += ["--rate", line.rate]
            self.relays[key] = Process(argv)
        return self.relays[key].ports[0]

    def stop(self):
        for process in [*self.relays.values(), *self.servers.values()]:
            process.stop()
        self.relays.clear()
        self.servers.clear()
