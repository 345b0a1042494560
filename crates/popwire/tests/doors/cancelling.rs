// Futures that are dropped before they are ready: the session stays in step.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use popwire::tokio::Client;
use popwire::{Connector, Login, Security};
use popwire_server::{Direction, Maildrop, Message as Mail, Server};
use tokio::io::AsyncReadExt as _;

use crate::setting::{MAIL, PASSWORD, ended, login, ms, on_plain_port, plain};

/// Polls at most so many times, with time for octets to come in between; then drops the future.
async fn polled<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..times {
        let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        tokio::time::sleep(Duration::from_micros(300)).await;
    }
    None
}

/// A server whose answers come in many pieces.
fn server() -> Server {
    let mail = MAIL.iter().zip(["uid-one", "uid-two"]).map(|(mail, id)| Mail::new(*mail).unique_id(id));
    Server::builder()
        .user("alice", PASSWORD, Maildrop::memory(mail))
        .segment(9)
        .segment_pause(ms(1))
        .start()
        .unwrap()
}

async fn enter(connector: &Connector) -> Client {
    let mut client = Client::connect(connector).await.unwrap();
    client.login(&login()).await.unwrap();
    client
}

/// Each command gets its own answer.
async fn is_in_step(client: &mut Client) {
    assert_eq!(client.uidl_one(2).await.unwrap().uid().as_bytes(), b"uid-two");
    assert_eq!(client.list_one(1).await.unwrap().scan.octets, Some(23));
    assert_eq!(client.uidl_one(1).await.unwrap().uid().as_bytes(), b"uid-one");
}

/// Cancels what `$future` makes of `$client` after 0, 1, 2, ... polls until it is ready; checks the step each time.
macro_rules! cancelled_everywhere {
    ($client:ident, $future:expr) => {{
        let mut cancelled = 0;
        while polled(cancelled, $future).await.is_none() {
            is_in_step(&mut $client).await;
            // All the early points, then fewer.
            cancelled += 1 + cancelled / 8;
            assert!(cancelled < 2000, "it is never ready");
        }
        is_in_step(&mut $client).await;
        assert!(cancelled > 1, "it was ready at once");
    }};
}

#[tokio::test]
async fn a_cancelled_command_leaves_the_session_in_step() {
    let server = server();
    for connector in [plain(&server), on_plain_port(&server, Security::Stls)] {
        let mut client = enter(&connector).await;
        cancelled_everywhere!(client, client.noop());
        cancelled_everywhere!(client, client.stat());
        cancelled_everywhere!(client, client.list());
        cancelled_everywhere!(client, client.uidl());
        cancelled_everywhere!(client, client.capa());
        cancelled_everywhere!(client, client.list_one(9));
        assert!(client.capabilities().has("UIDL"));
        assert!(client.quit().await.is_committed());
        assert!(server.wait_closed(server.sessions().len(), ms(5000)));
    }
}

#[tokio::test]
async fn a_cancelled_message_leaves_the_session_in_step() {
    let server = server();
    let mut client = enter(&plain(&server)).await;
    cancelled_everywhere!(client, client.retr(2));
    cancelled_everywhere!(client, async { client.retr(2).await.unwrap().read_to_vec().await.unwrap() });
    cancelled_everywhere!(client, async { client.top(2, 1).await.unwrap().read_to_vec().await.unwrap() });
}

#[tokio::test]
async fn a_cancelled_read_loses_nothing() {
    let server = server();
    let mut client = enter(&plain(&server)).await;
    // What a future took out of the message before it was dropped is in the buffer that it was given.
    for times in 1..12 {
        let mut message = client.retr(2).await.unwrap();
        let mut whole = Vec::new();
        while polled(times, message.read_buf(&mut whole)).await.is_none_or(|read| read.unwrap() > 0) {}
        assert_eq!(whole, MAIL[1].as_bytes(), "{times}");
        assert!(message.is_complete());
    }
    for times in 1..12 {
        let mut message = client.retr(2).await.unwrap();
        let mut whole = Vec::new();
        while polled(times, message.copy_to(&mut whole)).await.is_none() {}
        assert_eq!(whole, MAIL[1].as_bytes(), "{times}");
    }
    is_in_step(&mut client).await;
}

#[tokio::test]
async fn a_cancelled_dele_is_counted_as_it_was_answered() {
    let server = server();
    for times in 0..30 {
        let mut client = enter(&plain(&server)).await;
        let _ = polled(times, client.dele(1)).await;
        let messages = client.stat().await.unwrap().messages;
        assert_eq!(messages + client.marked(), 2, "{times}");
        // What is pending is taken back, so that the next round finds both.
        client.rset().await.unwrap();
        assert_eq!(client.marked(), 0);
        assert!(client.quit().await.is_committed());
        assert!(server.wait_closed(server.sessions().len(), ms(5000)));
    }
}

#[tokio::test]
async fn a_cancelled_login_can_be_tried_again_or_is_done() {
    let server = server();
    let mut times = 0;
    loop {
        let mut client = Client::connect(&plain(&server)).await.unwrap();
        let done = polled(times, client.login(&login())).await.is_some();
        // Whatever was sent is answered first; then either the login is there, or it can be made. Servers may
        // refuse a USER that follows a USER, but no command gets the answer of another.
        let stat = client.stat().await;
        match client.state() {
            popwire::State::Transaction => is_in_step(&mut client).await,
            _ => assert!(!done && stat.unwrap_err().is_refused()),
        }
        drop(client);
        assert!(server.wait_closed(server.sessions().len(), ms(5000)));
        if done {
            break;
        }
        times += 1;
    }
    assert!(times > 10);
}

#[tokio::test]
async fn a_cancelled_stls_never_leads_to_plain_text() {
    let server = server();
    let mut times = 0;
    loop {
        let mut client = Client::connect(&on_plain_port(&server, Security::Plain)).await.unwrap();
        let done = polled(times, client.stls()).await;
        let after = client.login(&Login::password("alice", PASSWORD)).await;
        let lines = {
            let secure = client.tls().is_some();
            drop(client);
            let session = ended(&server);
            assert_eq!(after.is_ok(), secure, "{after:?}");
            session.lines
        };
        let clear = lines.iter().filter(|line| line.direction == Direction::Client && !line.tls);
        let clear: Vec<_> = clear.map(popwire_server::Line::text).collect();
        assert!(clear == ["CAPA"] || clear == ["CAPA", "STLS"], "{clear:?}");
        if done.is_some() {
            break;
        }
        times += 1;
        assert!(times < 2000);
    }
    assert!(times > 5);
}

#[tokio::test]
async fn a_cancelled_handshake_ends_the_session() {
    let server = server();
    let mut client = Client::connect(&plain(&server)).await.unwrap();
    // STLS is answered in pieces; when the handshake has begun, the server has no line left to record.
    let mut times = 1;
    loop {
        let cancelled = polled(times, client.stls()).await.is_none();
        assert!(cancelled, "never cancelled in the handshake");
        let next = client.noop().await;
        assert!(next.is_err() || times < 3, "a plain NOOP after STLS");
        if next.is_err() {
            break;
        }
        times += 1;
    }
    assert!(client.noop().await.is_err());
    assert!(client.login(&login()).await.is_err());
    drop(client);
    assert!(
        ended(&server).client_lines().iter().all(|line| ["CAPA", "STLS", "NOOP"].contains(&line.as_str()))
    );
}

#[tokio::test]
async fn a_cancelled_connect_leaves_nothing_behind() {
    let server = server();
    for times in 0..20 {
        assert!(polled(times, Client::connect(&plain(&server))).await.is_none_or(|client| client.is_ok()));
    }
    let connections = server.sessions().len();
    assert!(server.wait_closed(connections, ms(5000)));
}

#[tokio::test]
async fn a_timeout_of_the_callers_own_is_a_cancellation_too() {
    let server = Server::builder()
        .user("alice", PASSWORD, Maildrop::memory(MAIL))
        .script("STAT", popwire_server::Answer::raw("+OK 9 9\r\n").after(ms(200)))
        .start()
        .unwrap();
    let mut client = enter(&plain(&server)).await;
    assert!(tokio::time::timeout(ms(50), client.stat()).await.is_err());
    assert_eq!(client.list().await.unwrap().len(), 2);
    assert!(client.quit().await.is_committed());
}
