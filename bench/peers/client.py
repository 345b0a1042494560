"""CPython's poplib: client.py retr|list|show|maildir PORT COUNT [CA] [FOLDER]

retr receives the messages 1 to COUNT and drops them; list parses LIST and UIDL into numbers and names, COUNT each; show
writes message 1 to standard output; maildir adds the messages 1 to COUNT to FOLDER with mailbox.Maildir, which flushes
each file. With CA (a file; - is none) it is TLS from the first octet.
"""
import poplib
import ssl
import sys

# As its users do, or lines of more than 2048 octets end the session.
poplib._MAXLINE = 1 << 20

job, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
ca = (sys.argv[4:5] or ["-"])[0]
if ca == "-":
    client = poplib.POP3("localhost", port, timeout=60)
else:
    client = poplib.POP3_SSL("localhost", port, timeout=60, context=ssl.create_default_context(cafile=ca))
client.user("alice")
client.pass_("secret")
if job == "list":
    sizes = {int(number): int(size) for number, size in map(bytes.split, client.list()[1])}
    names = {int(number): name for number, name in map(bytes.split, client.uidl()[1])}
    assert len(sizes) == len(names) == count
elif job == "show":
    sys.stdout.buffer.write(b"".join(line + b"\r\n" for line in client.retr(1)[1]))
elif job == "maildir":
    import mailbox

    folder = mailbox.Maildir(sys.argv[5], factory=None, create=True)
    for number in range(1, count + 1):
        folder.add(b"".join(line + b"\n" for line in client.retr(number)[1]))
else:
    for number in range(1, count + 1):
        message = b"".join(line + b"\r\n" for line in client.retr(number)[1])
client.quit()
