"""The embedded server as `popwire.testing` has it, with the standard library's poplib as its client."""

import poplib
import ssl

import pytest
from popwire.testing import Server

SCENARIO = """
[[user]]
name = "alice"
password = "secret"
messages = [{ text = "Subject: hi\\r\\n\\r\\nhello\\r\\n" }]
"""
MAIL = [b"Subject: one\r\n\r\nOne.\r\n", b"Subject: two\r\n\r\n.\r\n"]


def logged_in(server):
    client = poplib.POP3(server.host, server.port, timeout=5)
    client.user(server.user)
    client.pass_(server.password)
    return client


def test_poplib_fetches_and_deletes():
    with Server(MAIL) as server:
        client = logged_in(server)
        assert b"\r\n".join(client.retr(2)[1]) + b"\r\n" == MAIL[1]
        client.dele(1)
        client.quit()
        assert server.wait_closed() and server.messages() == [MAIL[1]]
        server.deliver(b"Subject: three\r\n\r\n")
        assert len(server.messages()) == 2
        assert server.commands() == [["USER alice", "PASS secret", "RETR 2", "DELE 1", "QUIT"]]
        assert "C: DELE 1" in server.transcripts()[0]
    with pytest.raises(RuntimeError, match="stopped"):
        server.messages()


def test_its_certificate_can_be_verified(pop3_server):
    server = pop3_server(MAIL)
    context = ssl.create_default_context(cadata=server.ca_pem.decode())
    client = poplib.POP3_SSL("localhost", server.tls_port, context=context, timeout=5)
    client.quit()


def test_several_mailboxes(pop3_server):
    server = pop3_server(MAIL, mailboxes={"bob": ("hunter2", [b"Subject: bob\r\n\r\n"])})
    assert server.messages("bob") == [b"Subject: bob\r\n\r\n"] and server.messages() == MAIL
    with pytest.raises(ValueError, match="carol"):
        server.messages("carol")


def test_it_misbehaves_on_request(pop3_server):
    client = logged_in(pop3_server(MAIL, quirks=["uidl=none"]))
    with pytest.raises(poplib.error_proto):
        client.uidl()
    client.close()
    client = logged_in(pop3_server(MAIL, scripts=[("STAT", b"+OK seven\r\n")]))
    assert client._shortcmd("STAT") == b"+OK seven"
    client.close()
    client = logged_in(pop3_server(MAIL, faults=["RETR#1@10:close"]))
    with pytest.raises((poplib.error_proto, OSError)):
        client.retr(1)
    client.close()
    client = logged_in(pop3_server(MAIL, personality="dovecot"))
    assert b"Dovecot" in client.getwelcome()
    client.close()


def test_a_scenario(pop3_server):
    server = pop3_server(scenario=SCENARIO)
    client = logged_in(server)
    assert client.stat()[0] == 1
    client.quit()


@pytest.mark.parametrize(
    "options, text",
    [
        ({"quirks": ["uidel=off"]}, "uidl"),
        ({"personality": "dovcot"}, "dovecot"),
        ({"faults": ["RETR:explode"]}, "explode"),
        ({"scenario": "users = 3"}, "users"),
        ({"idle_timeout": -1}, "negative"),
    ],
)
def test_wrong_names_are_told(options, text):
    with pytest.raises(ValueError, match=text):
        Server(**options)
