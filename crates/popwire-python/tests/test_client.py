"""The blocking client, against the embedded server."""

import io
import signal
import threading
import time

import popwire
import pytest

MAIL = [b"Subject: one\r\n\r\nOne.\r\n", b"Subject: two\r\n\r\n.dots\r\n..two\r\n.\r\n", b"Subject: three\r\n\r\n" + b"x" * 5000 + b"\r\n"]
PLAIN = {"security": "plain", "dangerous_login_without_verified_tls": True}


def connect(server, **options):
    return popwire.Client(server.host, server.port, **{**PLAIN, **options})


def logged_in(server, **options):
    client = connect(server, **options)
    client.login("alice", "secret")
    return client


def stuffed(message):
    """A message as it goes over the wire."""
    return (b"\r\n" + message).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"


@pytest.mark.parametrize("security", ["tls", "stls"])
def test_five_lines_over_verified_tls(pop3_server, security):
    server = pop3_server(MAIL)
    port = server.tls_port if security == "tls" else server.port
    with popwire.Client("localhost", port, security=security, ca=server.ca_pem) as client:
        client.login("alice", "secret")
        assert [message.data for message in client.retrieve_many(client.inventory().numbers)] == MAIL
        assert client.tls.verified and client.tls.version == "TLSv1_3"
    assert server.commands()[-1][-1] == "QUIT"


def test_an_unknown_certificate_is_an_error_before_any_secret(pop3_server):
    server = pop3_server(MAIL)
    with pytest.raises(popwire.TlsError, match="issue"):
        popwire.Client("localhost", server.tls_port)
    with popwire.Client("localhost", server.tls_port, dangerous_accept_any_certificate=True) as client:
        with pytest.raises(popwire.Forbidden):
            client.login("alice", "secret")
    assert "secret" not in "".join(server.transcripts())


def test_a_login_in_the_clear_needs_permission(pop3_server):
    server = pop3_server(MAIL)
    with connect(server, dangerous_login_without_verified_tls=False) as client:
        with pytest.raises(popwire.Forbidden):
            client.login("alice", "secret")
    assert not any("alice" in line for line in server.commands()[0])


def test_every_answer_has_its_type(pop3_server):
    with logged_in(pop3_server(MAIL)) as client:
        assert client.stat() == popwire.Stat(3, sum(map(len, MAIL)))
        assert client.list() == [popwire.Scan(n, len(mail)) for n, mail in enumerate(MAIL, 1)]
        assert client.list_one(2) == (2, len(MAIL[1]))
        ids = client.uidl()
        assert [one.number for one in ids] == [1, 2, 3] and len({one.uid for one in ids}) == 3
        assert client.uidl_one(3) == ids[2]
        stock = client.inventory()
        assert (stock.stat, stock.scans, stock.unique_ids) == (client.stat(), client.list(), ids)
        assert client.top(3, 0) == b"Subject: three\r\n\r\n"
        assert client.noop().startswith(b"+OK") and client.raw("NOOP").startswith(b"+OK")
        assert client.raw_multi("LIST")[1].count(b"\r\n") == 3
        assert "UIDL" in client.capabilities and client.capa() == client.capabilities
        assert client.greeting.startswith(b"+OK") and client.logged_in_by
        assert client.keep_alive(0) and not client.keep_alive(3600)


def test_login_by_a_method_of_choice(pop3_server):
    server = pop3_server(MAIL, mechanisms=["PLAIN", "CRAM-MD5", "SCRAM-SHA-256"])
    for method in ["USER", "PLAIN", "CRAM-MD5", "SCRAM-SHA-256"]:
        with connect(server) as client:
            client.login("alice", "secret", methods=[method])
            assert client.logged_in_by == method
    with connect(server) as client:
        with pytest.raises(popwire.AuthenticationFailed) as failed:
            client.login("alice", "wr0ng")
        assert "wr0ng" not in str(failed.value) and not failed.value.is_retryable
        with pytest.raises(TypeError):
            client.login("alice")
        with pytest.raises(ValueError, match="ROT13"):
            client.login("alice", "secret", methods=["ROT13"])


def test_deletions_are_done_at_the_end_and_only_then(pop3_server):
    server = pop3_server(MAIL)
    with pytest.raises(KeyError):
        with logged_in(server) as client:
            client.delete(1)
            raise KeyError
    assert server.wait_closed() and server.messages() == MAIL
    with logged_in(server) as client:
        client.delete(1)
        client.reset()
        marked = client.delete_many([2, 7])
        assert marked[0] == (2, None) and isinstance(marked[1].error, popwire.Refused)
        assert client.marked == 1
    assert server.messages() == [MAIL[0], MAIL[2]]
    client = logged_in(server)
    client.delete(1)
    farewell = client.quit()
    assert farewell.is_committed and farewell.marked == 1 and farewell.error is None
    with pytest.raises(popwire.Closed):
        client.noop()


def test_a_deletion_that_the_server_refuses_is_told(pop3_server):
    server = pop3_server(MAIL, scripts=[("QUIT", b"-ERR some deleted messages not removed\r\n")])
    with pytest.raises(popwire.Refused, match="not removed"):
        with logged_in(server) as client:
            client.delete(1)


@pytest.mark.parametrize("pipelining", ["announced", "always", "never"])
def test_a_refusal_costs_one_message(pop3_server, pipelining):
    with logged_in(pop3_server(MAIL), pipelining=pipelining) as client:
        messages = client.retrieve_many([1, 9, 2, 0, 3])
        assert next(messages) == (1, MAIL[0])
        with pytest.raises(popwire.Refused) as refused:
            next(messages)
        assert refused.value.reply.startswith(b"-ERR")
        # Another command in between.
        assert client.stat().messages == 3
        assert next(messages).number == 2
        with pytest.raises(popwire.Misuse):
            next(messages)
        assert [message.number for message in messages] == [3]


def test_a_number_that_is_none_costs_itself_only(pop3_server):
    with logged_in(pop3_server(MAIL)) as client:
        messages = client.retrieve_many([1, -1, "2", None, 2, 1 << 32, 3])
        got = []
        while True:
            try:
                got.append(next(messages).number)
            except StopIteration:
                break
            except (popwire.Misuse, TypeError) as error:
                got.append(type(error))
        assert got == [1, popwire.Misuse, TypeError, TypeError, 2, popwire.Misuse, 3]
        for use in (client.retrieve, client.delete, client.list_one, client.uidl_one, lambda n: client.top(n, 0), lambda n: client.delete_many([1, n])):
            with pytest.raises(popwire.Misuse, match="-1 is no message number"):
                use(-1)
        assert client.marked == 0


def test_a_batch_that_found_the_session_in_use_comes_later(pop3_server):
    client = logged_in(pop3_server(MAIL))
    messages = client.retrieve_many([1, 2, 3])
    told = []

    class Curious(io.RawIOBase):
        def write(self, octets):
            with pytest.raises(RuntimeError, match="in use") as error:
                next(messages)
            told.append(error.value)
            return len(octets)

    # It knows the sizes, so that it is the batch itself that fails.
    client.inventory()
    assert client.retrieve_into(3, Curious()) == len(MAIL[2]) and told
    assert [message.data for message in messages] == MAIL
    assert client.quit().is_committed


def test_many_messages_come_in_order_and_an_iterator_may_be_left(pop3_server):
    mail = [b"Subject: %d\r\n\r\n%s\r\n" % (n, b"." * (n % 70)) for n in range(1, 1001)]
    with logged_in(pop3_server(mail)) as client:
        assert [m.data for m in client.retrieve_many(range(1, 1001))] == mail
        for message in client.retrieve_many(range(1, 1001)):
            if message.number == 40:
                break
        assert client.noop().startswith(b"+OK")
        assert [m.data for m in client.top_many([3, 1], 0)] == [b"Subject: 3\r\n\r\n", b"Subject: 1\r\n\r\n"]


def test_large_messages_whatever_size_is_announced(pop3_server):
    mail = [b"Subject: large\r\n\r\n" + b".0123456789abcde\r\n" * (size // 18) for size in (300_000, 3_000_000)]
    for line in (b"%d octets", b"", b"100 octets", b"5000000 octets", b"99999999999999999999 octets"):
        scripts = [(f"RETR {n}", b"+OK " + line.replace(b"%d", b"%d" % len(m)) + b"\r\n" + stuffed(m)) for n, m in enumerate(mail, 1)]
        with logged_in(pop3_server(mail, scripts=scripts)) as client:
            assert [client.retrieve(1), client.retrieve(2)] == mail


def test_a_message_goes_into_a_file(pop3_server):
    class Full(io.RawIOBase):
        def write(self, octets):
            raise OSError(28, "No space left on device")

    with logged_in(pop3_server(MAIL)) as client:
        file = io.BytesIO()
        assert client.retrieve_into(3, file) == len(MAIL[2]) and file.getvalue() == MAIL[2]
        with pytest.raises(OSError, match="No space"):
            client.retrieve_into(3, Full())
        # The session goes on.
        assert client.retrieve(2) == MAIL[1]


def test_many_messages_go_into_files(pop3_server, tmp_path):
    mail = [b"Subject: %d\r\n\r\n%s\r\n" % (n, b".\r\n" * (n * 50)) for n in range(1, 401)]

    def opened(number):
        if number == 7:
            raise PermissionError(13, "not this one")
        files[number] = open(tmp_path / f"{number}.eml", "wb")
        return files[number]

    files = {}
    with logged_in(pop3_server(mail)) as client:
        written = client.retrieve_many_into([*range(1, 401), 999], opened)
        for number in range(1, 401):
            if number == 7:
                with pytest.raises(PermissionError):
                    next(written)
            else:
                assert next(written) == popwire.Written(number, len(mail[number - 1]))
        with pytest.raises(popwire.Refused):
            next(written)
        assert list(written) == [] and client.noop().startswith(b"+OK")
    # No file was opened for what is not there.
    assert sorted(files) == [number for number in range(1, 401) if number != 7]
    for number, file in files.items():
        file.close()
        assert (tmp_path / f"{number}.eml").read_bytes() == mail[number - 1]


def test_a_file_may_keep_what_it_is_given_or_take_a_part(pop3_server):
    class Keeping:
        def __init__(self):
            self.kept = []

        def write(self, octets):
            self.kept.append(octets)

    class Slow(io.RawIOBase):
        taken = b""

        def write(self, octets):
            self.taken += bytes(octets[:10_000])
            return min(10_000, len(octets))

    mail = [b"Subject: large\r\n\r\n" + b"".join(b"%d.\r\n.%d\r\n" % (n, n) for n in range(150_000))]
    with logged_in(pop3_server(mail)) as client:
        for _ in range(3):
            keeping, slow = Keeping(), Slow()
            assert client.retrieve_into(1, keeping) == len(mail[0])
            assert len(keeping.kept) > 3 and b"".join(keeping.kept) == mail[0]
            assert client.retrieve_into(1, slow) == len(mail[0]) and slow.taken == mail[0]


def test_a_file_that_takes_nothing_is_an_error(pop3_server):
    class Deaf(io.RawIOBase):
        def write(self, octets):
            return 0

    with logged_in(pop3_server(MAIL)) as client:
        with pytest.raises(OSError, match="took none"):
            client.retrieve_into(3, Deaf())
        assert client.retrieve(3) == MAIL[2]


def test_a_file_that_calls_back_is_told(pop3_server):
    client = logged_in(pop3_server(MAIL))

    class Curious(io.RawIOBase):
        def write(self, octets):
            client.noop()

    with pytest.raises(RuntimeError, match="in use"):
        client.retrieve_into(1, Curious())
    client.close()


def test_a_message_cut_off_is_an_error(pop3_server):
    with logged_in(pop3_server(MAIL, faults=["RETR#1@1000:close"])) as client:
        with pytest.raises(ConnectionError):
            client.retrieve(3)
        assert client.is_broken
        client.close()


def test_a_limit_in_memory(pop3_server):
    with logged_in(pop3_server(MAIL), limits={"message_in_memory": 1000}) as client:
        with pytest.raises(OverflowError, match="retrieve_into"):
            client.retrieve(3)
        assert client.retrieve(1) == MAIL[0]


def test_nothing_is_smuggled_into_a_command(pop3_server):
    server = pop3_server(MAIL)
    with connect(server) as client:
        for user, password in [("alice\r\nDELE 1", "secret"), ("alice", "secret\nDELE 1"), ("al\0ice", "secret")]:
            with pytest.raises(popwire.Misuse):
                client.login(user, password, methods=["USER"])
        with pytest.raises(popwire.Misuse):
            client.raw("NOOP\r\nDELE 1")
    assert not any("DELE" in line for line in server.commands()[0])


def test_a_silent_server_has_a_deadline(pop3_server):
    server = pop3_server(MAIL, quirks=["capa=hang"])
    begin = time.monotonic()
    with pytest.raises(TimeoutError):
        connect(server, timeouts={"capa": 0.3}).login("alice", "secret")
    assert time.monotonic() - begin < 3


def test_ctrl_c_ends_a_wait(pop3_server):
    server = pop3_server(MAIL, faults=["RETR#1@1000:stall=60s"])
    client = logged_in(server)
    timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    timer.start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        client.retrieve(3)
    assert time.monotonic() - begin < 3
    timer.join()
    client.close()


@pytest.mark.parametrize("many", ["retrieve_many", "retrieve_many_into"])
def test_ctrl_c_ends_a_wait_for_many(pop3_server, many):
    client = logged_in(pop3_server(MAIL, faults=["RETR#3@1000:stall=60s"]))
    into = [lambda number: io.BytesIO()] if many == "retrieve_many_into" else []
    timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    timer.start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        for item in getattr(client, many)([1, 2, 3], *into):
            assert item.number < 3
    assert time.monotonic() - begin < 3
    timer.join()
    client.close()


def test_a_file_that_interrupts_the_program_is_heard(pop3_server):
    class Interrupting:
        def write(self, octets):
            raise KeyboardInterrupt

    with logged_in(pop3_server(MAIL)) as client:
        with pytest.raises(KeyboardInterrupt):
            list(client.retrieve_many_into([1, 2], lambda number: Interrupting()))
        assert client.retrieve(2) == MAIL[1]


def test_a_message_beyond_the_limit_in_memory_costs_only_itself(pop3_server):
    with logged_in(pop3_server([MAIL[2]] + MAIL[:2] * 20), limits={"message_in_memory": 1000}) as client:
        messages = client.retrieve_many(range(1, 42))
        with pytest.raises(OverflowError):
            next(messages)
        assert [message.number for message in messages] == list(range(2, 42))


def test_other_threads_run_meanwhile_and_may_not_interfere(pop3_server):
    server = pop3_server(MAIL, faults=["RETR#1@1000:stall=1s"])
    client = logged_in(server)
    ticks, told = [], []

    def other():
        for _ in range(50):
            ticks.append(time.monotonic())
            time.sleep(0.01)
        try:
            client.noop()
        except RuntimeError as error:
            told.append(str(error))

    thread = threading.Thread(target=other)
    thread.start()
    assert client.retrieve(3) == MAIL[2]
    thread.join()
    assert max(b - a for a, b in zip(ticks, ticks[1:])) < 0.5
    assert told and "another thread" in told[0]
    assert client.quit().is_committed


def test_another_thread_may_hang_up(pop3_server):
    server = pop3_server(MAIL, faults=["RETR#1@1000:stall=20s"])
    client = logged_in(server)
    threading.Timer(0.3, client.close).start()
    begin = time.monotonic()
    with pytest.raises(popwire.Closed, match="close"):
        client.retrieve(3)
    assert time.monotonic() - begin < 3
    for use in (client.noop, client.quit, lambda: client.marked):
        with pytest.raises(popwire.Closed):
            use()
    client.close()
    assert "QUIT" not in server.commands()[-1]


def test_a_file_may_hang_up(pop3_server):
    mail = [b"Subject: large\r\n\r\n" + b"x" * 70 * 100_000 + b"\r\n"]
    with logged_in(pop3_server(mail)) as client:

        class Impatient(io.RawIOBase):
            def write(self, octets):
                client.close()
                return len(octets)

        with pytest.raises(popwire.Closed):
            client.retrieve_into(1, Impatient())


@pytest.mark.parametrize(
    "options, error",
    [
        ({"security": "magic"}, ValueError),
        ({"pipelining": "maybe"}, ValueError),
        ({"timeouts": {"lunch": 1.0}}, TypeError),
        ({"timeouts": {"capa": -1.0}}, ValueError),
        ({"timeouts": {"capa": None}}, ValueError),
        ({"limits": {"patience": 1}}, TypeError),
        ({"ca": b"no certificate"}, ValueError),
        ({"ca": "/nonexistent"}, OSError),
        ({"pins": ["sha256//short"]}, ValueError),
        ({"port": 70000}, ValueError),
        ({"port": 0}, ValueError),
        ({"host": ""}, ValueError),
        ({"window": (0, 1)}, ValueError),
        ({"limits": {"discard": -1}}, ValueError),
    ],
)
def test_wrong_options_are_told_at_once(options, error):
    with pytest.raises(error):
        popwire.Client(**{"host": "localhost", "port": 1, **options})


def test_nobody_listens(pop3_server):
    server = pop3_server(MAIL)
    server.stop()
    with pytest.raises(popwire.NetworkError) as failed:
        connect(server)
    assert isinstance(failed.value, OSError) and failed.value.is_retryable


def test_stock_is_equal_to_the_same_stock(pop3_server):
    with logged_in(pop3_server(MAIL)) as client:
        before = client.inventory()
        assert before == client.inventory() and before != (3, 4)
        client.delete(1)
        assert before != client.inventory()


def test_what_is_no_text_is_told_without_its_value(pop3_server):
    with connect(pop3_server(MAIL)) as client:
        with pytest.raises(TypeError, match="not int") as told:
            client.login("alice", 31337)
        assert "31337" not in str(told.value)
        with pytest.raises(TypeError, match="list of names"):
            client.login("alice", "secret", methods="PLAIN")


def test_no_secret_in_any_repr():
    from popwire import _native

    login = _native.Login("password", b"alice", b"s3cret", [], b"", None)
    assert "s3cret" not in repr(login) + str(login)
