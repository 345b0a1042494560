#!/usr/bin/env python3
"""A mailbox of 100,000 messages of 4 KB: fetched into a Maildir, then looked at again with nothing new in it.

    scale.py POPWIRE [MESSAGES]

POPWIRE is the program, a release build. The second look has to take less than a second and 64 MiB; it is taken three
times, and the best counts, since other work on the machine makes it slower and never quicker.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

SECONDS = 1.0
MEBIBYTES = 64


def fill(maildir, count):
    for folder in ("new", "cur", "tmp"):
        os.makedirs(os.path.join(maildir, folder))
    for number in range(count):
        head = b"From: a@example.org\nSubject: message %d\nMessage-ID: <%d@example.org>\n\n" % (number, number)
        lines = (4096 - len(head)) // 70
        with open(os.path.join(maildir, "new", f"{1_700_000_000 + number}.{number}.scale"), "wb") as file:
            file.write(head + (b"x" * 69 + b"\n") * lines)


def fetch(program, url, home, env):
    """Seconds, MiB of memory at most, and what was said."""
    command = [program, "fetch", url, "--insecure-plaintext", "--json", "--maildir", os.path.join(home, "Mail")]
    began = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, env=env, stdout=said)
        _, status, usage = os.wait4(process.pid, 0)
        took = time.monotonic() - began
        # Its end only: until its exec a child has our memory, and what we read would be taken for its own.
        said.seek(max(0, said.seek(0, os.SEEK_END) - 65536))
        summary = json.loads(said.read().splitlines()[-1])
    if status != 0:
        sys.exit(f"fetch failed: {summary}")
    return took, usage.ru_maxrss / 1024, summary


def main():
    program = os.path.abspath(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    with tempfile.TemporaryDirectory(prefix="popwire-scale-") as home:
        fill(os.path.join(home, "server"), count)
        env = dict(os.environ, POPWIRE_PASSWORD="pw", POPWIRE_STATE=os.path.join(home, "state"))
        command = [program, "serve", "--maildir", os.path.join(home, "server"), "--user", "alice", "--json",
                   "--listen", "127.0.0.1:0", "--listen-tls", "127.0.0.1:0"]
        server = subprocess.Popen(command, env=env, stdout=subprocess.PIPE)
        try:
            url = "pop://alice@" + json.loads(server.stdout.readline())["plain"]
            took, memory, summary = fetch(program, url, home, env)
            print(f"{summary['delivered']:,} messages fetched: {took:.1f} s, {memory:.0f} MiB")
            # Counted without a list, for the same reason.
            if summary["delivered"] != count or sum(1 for _ in os.scandir(os.path.join(home, "Mail", "new"))) != count:
                sys.exit(f"not {count:,} messages")
            looks = [fetch(program, url, home, env) for _ in range(3)]
        finally:
            server.kill()
            server.wait()
        if any(summary["delivered"] or summary["known"] != count for _, _, summary in looks):
            sys.exit("something came twice")
        took, memory = min(look[0] for look in looks), max(look[1] for look in looks)
        print(f"nothing new: {took:.2f} s (less than {SECONDS:.0f} s), {memory:.0f} MiB (less than {MEBIBYTES} MiB)")
        if took >= SECONDS or memory >= MEBIBYTES:
            sys.exit("too slow, or too large")


if __name__ == "__main__":
    main()
