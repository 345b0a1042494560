"""What each client makes of a message, found out once, apart from the measuring."""
import socket

from harness import measure
from harness.subjects import Task
from peers import programs

# Small enough for the clients with a limit, and every line begins with a dot.
OCTETS = 2000


def wire(port):
    """Message 1 as the server sends it: its lines with their dots stuffed."""
    with socket.create_connection(("localhost", port)) as connection, connection.makefile("rwb") as stream:
        for command in (b"", b"USER alice\r\n", b"PASS secret\r\n", b"RETR 1\r\n"):
            stream.write(command)
            stream.flush()
            if not stream.readline().startswith(b"+OK"):
                raise measure.Failed("the server said no")
        lines = []
        while (line := stream.readline()) != b".\r\n":
            if not line:
                raise measure.Failed("the server hung up")
            lines.append(line)
        stream.write(b"QUIT\r\n")
        stream.flush()
        stream.readline()
        return lines


def handed_over(name, subjects, servers, folder):
    """What one client makes of it: `exact`, or `wrong` or `changed` and how."""
    _, port = servers.server(1, OCTETS, "stuffed", False)
    stuffed = wire(port)
    message = b"".join(line[1:] if line.startswith(b".") else line for line in stuffed)
    command = subjects.command(name, Task("show", port, 1, OCTETS, None, folder))
    _, got = measure.run(command)
    if command.maildir:
        files = programs.maildir_files(command.maildir)
        if len(files) != 1:
            return f"wrong: {len(files)} files"
        got = files[0].read_bytes()
    return judge(got, message, b"".join(stuffed))


def judge(got, message, stuffed):
    """Line ends may be those of Unix."""
    got, message, stuffed = (text.replace(b"\r\n", b"\n") for text in (got, message, stuffed))
    if got == message:
        return "exact"
    if got == stuffed:
        return "wrong: the dots are still stuffed"
    if got == stuffed.removesuffix(b"\n"):
        return "wrong: the dots are still stuffed, and the last line end is lost"
    if got.endswith(message.partition(b"\n\n")[2]):
        return "changed: the header is another"
    return "wrong"
