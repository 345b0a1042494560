"""Fetch a mailbox with CPython's poplib: fetch.py HOST PORT USER PASSWORD FOLDER

Each message goes to FOLDER/N.eml, its lines joined by CRLF, and is deleted on the server.
"""
import pathlib
import poplib
import sys

# As its users do, or lines of more than 2048 octets end the session.
poplib._MAXLINE = 1 << 20

host, port, user, password, folder = sys.argv[1:]
client = poplib.POP3(host, int(port), timeout=30)
client.user(user)
client.pass_(password)
count, _ = client.stat()
for number in range(1, count + 1):
    lines = client.retr(number)[1]
    pathlib.Path(folder, f"{number}.eml").write_bytes(b"".join(line + b"\r\n" for line in lines))
    client.dele(number)
client.quit()
print(count)
