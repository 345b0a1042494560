"""One way to fetch a mailbox by Python, in a process of its own; prints the seconds that it took, and those of the CPU.

    python_subject.py WAY PORT MESSAGES

What is counted begins after the login and ends before QUIT, so that it can be divided by the messages.
"""

import resource
import socket
import sys
import time


class Null:
    """Where messages go that nobody wants."""

    def write(self, octets):
        return len(octets)


def bare(port, messages):
    """A loop that receives, looks for the end of each message and keeps nothing: what no client in Python can do without."""
    server = socket.create_connection(("127.0.0.1", port))
    for line in (b"", b"USER alice\r\n", b"PASS secret\r\n"):
        server.sendall(line)
        server.recv(4096)
    # Before what comes stand the last four octets of what came: the terminator may be cut anywhere.
    room = bytearray(4 + (1 << 18))
    free = memoryview(room)[4:]

    def work():
        for number in range(1, messages + 1):
            server.sendall(b"RETR %d\r\n" % number)
            room[:4] = bytes(4)
            while True:
                octets = server.recv_into(free)
                dot = room.find(b".", 0, 4 + octets)
                while dot >= 0 and room[max(0, dot - 2) : dot + 3] != b"\r\n.\r\n":
                    dot = room.find(b".", dot + 1, 4 + octets)
                if dot >= 0:
                    break
                room[:4] = room[octets : 4 + octets]

    return work, lambda: server.sendall(b"QUIT\r\n")


def by_poplib(module, port, messages, way):
    module._MAXLINE = 1 << 16
    client = module.POP3("127.0.0.1", port)
    client.user("alice")
    client.pass_("secret")

    def work():
        if way == "iter_retr":
            for _ in client.iter_retr(range(1, messages + 1)):
                pass
        elif way == "retr_into":
            for number in range(1, messages + 1):
                client.retr_into(number, Null())
        else:
            fetch = getattr(client, way)
            for number in range(1, messages + 1):
                fetch(number)

    return work, client.quit


def by_popwire(port, messages, way):
    import popwire

    client = popwire.Client("127.0.0.1", port, security="plain", dangerous_login_without_verified_tls=True)
    client.login("alice", "secret", methods=["USER"])

    def work():
        if way == "retrieve_many":
            for _ in client.retrieve_many(range(1, messages + 1)):
                pass
        elif way == "retrieve_many_into":
            for _ in client.retrieve_many_into(range(1, messages + 1), lambda number: Null()):
                pass
        elif way == "retrieve_into":
            for number in range(1, messages + 1):
                client.retrieve_into(number, Null())
        else:
            for number in range(1, messages + 1):
                client.retrieve(number)

    return work, client.quit


def main(way, port, messages):
    module, _, method = way.partition(".")
    if module == "bare":
        work, end = bare(port, messages)
    elif module == "poplib":
        import poplib

        work, end = by_poplib(poplib, port, messages, method)
    elif module == "drop-in":
        import popwire.poplib

        work, end = by_poplib(popwire.poplib, port, messages, method)
    else:
        work, end = by_popwire(port, messages, method)

    def cpu():
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    began, used = time.perf_counter(), cpu()
    work()
    print(time.perf_counter() - began, cpu() - used)
    end()


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
