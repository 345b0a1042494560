"""The asyncio client, against the embedded server."""

import asyncio
import concurrent.futures
import io
import subprocess
import sys

import popwire
import pytest

MAIL = [b"Subject: one\r\n\r\nOne.\r\n", b"Subject: two\r\n\r\n.dots\r\n..two\r\n.\r\n", b"Subject: three\r\n\r\n" + b"x" * 5000 + b"\r\n"]
PLAIN = {"security": "plain", "dangerous_login_without_verified_tls": True}


def connect(server, **options):
    return popwire.AsyncClient(server.host, server.port, **{**PLAIN, **options})


def test_a_session_over_verified_tls(pop3_server):
    server = pop3_server(MAIL)

    async def session():
        async with popwire.AsyncClient("localhost", server.tls_port, ca=server.ca_pem) as client:
            stock = await client.login_with_inventory("alice", "secret")
            assert (await client.tls()).verified
            assert [m.data async for m in client.retrieve_many(stock.numbers)] == MAIL

    asyncio.run(session())
    assert server.commands()[-1][-1] == "QUIT"


def test_every_answer_has_its_type(pop3_server):
    server = pop3_server(MAIL)

    async def session():
        client = await connect(server)
        await client.login("alice", "secret")
        assert await client.stat() == popwire.Stat(3, sum(map(len, MAIL)))
        assert await client.list() == [popwire.Scan(n, len(mail)) for n, mail in enumerate(MAIL, 1)]
        ids = await client.uidl()
        assert (await client.inventory()).unique_ids == ids and await client.uidl_one(3) == ids[2]
        assert await client.list_one(1) == (1, len(MAIL[0]))
        assert await client.retrieve(3) == MAIL[2] and await client.top(3, 0) == b"Subject: three\r\n\r\n"
        file = io.BytesIO()
        assert await client.retrieve_into(2, file) == len(MAIL[1]) and file.getvalue() == MAIL[1]
        files = {1: io.BytesIO(), 3: io.BytesIO()}
        written = [w async for w in client.retrieve_many_into([1, 3], files.__getitem__)]
        assert written == [(1, len(MAIL[0])), (3, len(MAIL[2]))] and files[3].getvalue() == MAIL[2]
        assert (await client.noop()).startswith(b"+OK") and (await client.raw("NOOP")).startswith(b"+OK")
        assert (await client.raw_multi("LIST"))[1].count(b"\r\n") == 3
        assert await client.capa() == await client.capabilities()
        assert (await client.greeting()).startswith(b"+OK") and await client.logged_in_by()
        assert await client.keep_alive(0)
        marked = await client.delete_many([1, 7])
        assert marked[0].error is None and isinstance(marked[1].error, popwire.Refused)
        await client.reset()
        await client.delete(2)
        assert await client.marked() == 1 and not await client.is_broken()
        farewell = await client.quit()
        assert farewell.is_committed and farewell.marked == 1
        with pytest.raises(popwire.Closed):
            await client.noop()

    asyncio.run(session())
    assert server.messages() == [MAIL[0], MAIL[2]]


def test_errors_are_those_of_the_blocking_client(pop3_server):
    server = pop3_server(MAIL)

    async def session():
        with pytest.raises(popwire.Misuse, match="not connected"):
            await connect(server).noop()
        async with connect(server) as client:
            with pytest.raises(popwire.AuthenticationFailed):
                await client.login("alice", "wrong")
        async with connect(server) as client:
            await client.login("alice", "secret")
            messages = client.retrieve_many([9, 2])
            with pytest.raises(popwire.Refused):
                await messages.__anext__()
            assert [m.number async for m in messages] == [2]
        with pytest.raises(popwire.TlsError):
            await popwire.AsyncClient("localhost", server.tls_port)

    asyncio.run(session())


def test_an_exception_deletes_nothing(pop3_server):
    server = pop3_server(MAIL)

    async def session():
        async with connect(server) as client:
            await client.login("alice", "secret")
            await client.delete(1)
            raise KeyError

    with pytest.raises(KeyError):
        asyncio.run(session())
    assert server.wait_closed() and server.messages() == MAIL


def test_a_cancelled_task_loses_nothing(pop3_server):
    server = pop3_server(MAIL, faults=["RETR#1@1000:stall=1s"])

    async def session():
        async with connect(server) as client:
            await client.login("alice", "secret")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.retrieve(3), 0.3)
            # What was under way is skipped, and the session is in step.
            assert await client.retrieve(1) == MAIL[0]
            assert await client.stat() == (3, sum(map(len, MAIL)))

    asyncio.run(session())


def test_a_cancelled_wait_for_messages_skips_none(pop3_server):
    server = pop3_server(MAIL, faults=["RETR#2@10:stall=1s"])

    async def session():
        async with connect(server) as client:
            await client.login("alice", "secret")
            messages = client.retrieve_many([1, 2, 3])
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(messages.__anext__(), 0.3)
            waiting = asyncio.ensure_future(messages.__anext__())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another task"):
                await messages.__anext__()
            assert [(await waiting).data] + [m.data async for m in messages] == MAIL

    asyncio.run(session())


def test_two_sessions_wait_at_the_same_time(pop3_server):
    slow = pop3_server(MAIL, faults=["RETR#1@1000:stall=1s"])
    fast = pop3_server(MAIL)

    async def session():
        async with connect(slow) as one, connect(fast) as other:
            await asyncio.gather(one.login("alice", "secret"), other.login("alice", "secret"))
            waiting = asyncio.create_task(one.retrieve(3))
            assert [m.data async for m in other.retrieve_many([1, 2, 3])] == MAIL
            assert not waiting.done()
            # Tasks that use one client take turns.
            assert await asyncio.gather(waiting, one.retrieve(1)) == [MAIL[2], MAIL[0]]

    asyncio.run(session())


PROGRAM = """
import asyncio, popwire

async def main():
    options = {{"security": "plain", "dangerous_login_without_verified_tls": True}}
    async with popwire.AsyncClient({host!r}, {port}, **options) as client:
        await client.login({user!r}, "secret")
        waiting = asyncio.ensure_future(client.retrieve(3))
        if {left}:
            await asyncio.sleep({seconds})
            await client.close() if {seconds} > 0.05 else waiting.cancel()
        else:
            await waiting

asyncio.run(main())
"""


@pytest.mark.parametrize("left", [True, False])
def test_the_interpreter_exits_whatever_is_under_way(pop3_server, left):
    # Not by every run: a thread has to be in the interpreter at the wrong moment.
    users = {f"user{n}": ("secret", MAIL) for n in range(60)}
    server = pop3_server(MAIL, mailboxes=users, faults=["RETR#1@1000:stall=300ms"] if left else [])

    def run(number):
        options = {"host": server.host, "port": server.port, "user": f"user{number}", "left": left, "seconds": number / 600}
        command = [sys.executable, "-c", PROGRAM.format(**options)]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for done in pool.map(run, range(60)):
            assert (done.returncode, done.stdout) == (0, "")
