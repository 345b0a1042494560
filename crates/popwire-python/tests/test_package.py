"""The package as it was installed: what is in it, and the README's first lines."""

import importlib.metadata
import pathlib
import re
import subprocess
import sys

import popwire

README = pathlib.Path(__file__).parent.parent / "README.md"
MAIL = [b"Subject: one\r\n\r\nOne.\r\n", b"Subject: two\r\n\r\n" + b"x" * 5000 + b"\r\n"]


def test_it_is_whole():
    files = {str(path) for path in importlib.metadata.files("popwire")}
    assert {"popwire/py.typed", "popwire/poplib.pyi", "popwire/_native.pyi", "popwire/testing.py"} <= files
    assert importlib.metadata.version("popwire") == popwire.__version__
    assert all(getattr(popwire, name).__doc__ for name in popwire.__all__ if name != "__version__")


def test_the_first_lines_of_the_readme_fetch_a_mailbox(pop3_server, tmp_path):
    server = pop3_server(MAIL, password="s3cret")
    for number, example in enumerate(re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)[:2]):
        (tmp_path / "ca.pem").write_bytes(server.ca_pem)
        assert "Client(\"pop.example.org\")" in example
        here = f'Client("localhost", {server.tls_port}, ca={str(tmp_path / "ca.pem")!r})'
        program = example.replace('Client("pop.example.org")', here)
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
        assert run.stdout == "".join(f"{n} {len(mail)}\n" for n, mail in enumerate(MAIL, 1)), run.stderr
        assert run.stderr == ""
    assert server.messages() == MAIL
