"""How the mail programs are told what to do: each function gives the command for a task (see harness/subjects.py).

All of them keep the mail on the server and add no header of their own, so that they do what the others do. What is
received goes nowhere (`/dev/null`, or the program's own way to drop mail) or, in the jobs `maildir` and `show`, into a
Maildir in the task's folder.
"""
import os
from pathlib import Path

from harness.measure import Command

USER, PASSWORD = "alice", "secret"


def _configure(task, name, text):
    """A configuration file that only its owner can read: the programs insist."""
    path = task.folder / name
    path.write_text(text)
    path.chmod(0o600)
    return path


def _maildir(task):
    """The Maildir to deliver into, or None where mail is dropped."""
    if task.job not in ("maildir", "show"):
        return None
    path = task.folder / "Maildir"
    for name in "tmp", "new", "cur":
        (path / name).mkdir(parents=True, exist_ok=True)
    return path


def curl(task):
    scheme, tls = ("pop3s", ["--cacert", task.ca]) if task.ca else ("pop3", [])
    common = ["--silent", "--show-error", "--user", f"{USER}:{PASSWORD}", *tls]
    url = f"{scheme}://localhost:{task.port}/"
    if task.job == "show":
        requests = [url + "1"]
    else:
        requests = [f"{url}[1-{task.count}]", "--output", "/dev/null"]
    return Command(["curl", "--disable", *common, *requests])


def mpop(task):
    maildir = _maildir(task)
    tls = f"tls on\ntls_starttls off\ntls_trust_file {task.ca}\n" if task.ca else "tls off\n"
    config = _configure(
        task,
        "mpoprc",
        f"account default\nhost localhost\nport {task.port}\nuser {USER}\npassword {PASSWORD}\nauth user\n{tls}"
        f"keep on\nonly_new {'on' if task.job in ('poll', 'prime') else 'off'}\nreceived_header off\n"
        f"delivery {f'maildir {maildir}' if maildir else 'mbox /dev/null'}\nuidls_file {task.folder}/uidls\n",
    )
    return Command(["mpop", "--file", config, "--quiet"], maildir=maildir)


def fetchmail(task):
    maildir = _maildir(task)
    if maildir:
        # It has no Maildir of its own: the shortest script that writes a file and flushes it.
        script = _configure(
            task, "deliver", f"#!/bin/sh\nexec dd of={maildir}/new/$$.$(date +%N) conv=fsync status=none\n"
        )
        deliver = f'mda "/bin/sh {script}"'
    else:
        deliver = 'bsmtp "/dev/null"'
    tls = f'ssl sslcertck sslcertfile "{task.ca}"' if task.ca else 'sslproto ""'
    # Without fetchall it asks for mail that it keeps by TOP, not RETR.
    seen = "" if task.job == "poll" else "fetchall"
    config = _configure(
        task,
        "fetchmailrc",
        f"set no bouncemail\nset invisible\nset idfile \"{task.folder}/ids\"\n"
        f"poll localhost service {task.port} protocol POP3 uidl timeout 60 no dns\n"
        f'user "{USER}" password "{PASSWORD}" {tls} no rewrite keep stripcr {seen}\n{deliver}\n',
    )
    argv = ["fetchmail", "--fetchmailrc", config, "--nosyslog", "--silent", "--pidfile", task.folder / "pid"]
    # 1: there was no new mail.
    good = (1,) if task.job == "poll" else (0,)
    return Command(argv, env={"HOME": str(task.folder), "FETCHMAILHOME": str(task.folder)}, good=good, maildir=maildir)


def getmail6(task):
    maildir = _maildir(task) or task.folder / "Maildir"
    for name in "tmp", "new", "cur":
        (maildir / name).mkdir(parents=True, exist_ok=True)
    config = _configure(
        task,
        "getmailrc",
        f"[retriever]\ntype = SimplePOP3Retriever\nserver = localhost\nport = {task.port}\nusername = {USER}\n"
        f"password = {PASSWORD}\n[destination]\ntype = Maildir\npath = {maildir}/\n"
        f"[options]\ndelete = false\nread_all = {'false' if task.job in ('poll', 'prime') else 'true'}\n"
        "delivered_to = false\nreceived = false\nverbose = 0\n",
    )
    # What it has seen is kept by host and port, and the poll comes through a relay.
    for state in task.folder.glob("oldmail-*"):
        state.rename(task.folder / f"oldmail-localhost-{task.port}-{USER}")
    as_nobody = []
    if os.geteuid() == 0:
        # It refuses to deliver as root.
        for path in [task.folder, *task.folder.rglob("*")]:
            os.chown(path, 65534, 65534)
        as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    argv = [*as_nobody, "getmail", "--getmaildir", task.folder, "--rcfile", config]
    return Command(argv, cwd=task.folder, maildir=maildir if task.job in ("maildir", "show") else None)


def fdm(task):
    maildir = _maildir(task)
    new = ""
    if task.job in ("poll", "prime"):
        new = f'new-only cache "{task.folder}/cache"'
        # As root it fetches by a user of its own.
        task.folder.chmod(0o777)
    action = f'maildir "{maildir}"' if maildir else "drop"
    config = _configure(
        task,
        "fdm.conf",
        f'set no-received\nset lock-file "{task.folder}/lock"\nset allow-multiple\nset maximum-size 100M\n'
        f"{'set verify-certificates' if task.ca else ''}\n"
        f'account "{USER}" {"pop3s" if task.ca else "pop3"} server "localhost" port {task.port} user "{USER}" '
        f'pass "{PASSWORD}" {new} keep\naction "keep" {action}\nmatch all action "keep"\n',
    )
    env = {"HOME": str(task.folder), "SSL_CERT_FILE": str(task.ca or "")}
    return Command(["fdm", "-f", config, "-a", USER, "fetch"], env=env, maildir=maildir)


def maildir_files(maildir):
    """The messages that lie in a Maildir."""
    return [path for name in ("new", "cur") for path in Path(maildir, name).iterdir()]
