// Futures that are dropped before they are ready: the session stays in step.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use popwire::tokio::Client;
use popwire::{Ask, Connector, Login, Mechanism, Security};
use popwire_server::{Direction, Maildrop, Message as Mail, Server};
use tokio::io::AsyncReadExt as _;

use crate::actor::{Act, Actor, answer, say};
use crate::setting::{MAIL, PASSWORD, ended, login, ms, on_plain_port, plain, tls};

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
async fn a_cancelled_pipeline_leaves_the_session_in_step() {
    let server = server();
    let mut client = enter(&plain(&server)).await;
    cancelled_everywhere!(client, async {
        let mut messages = client.retrieve_many(1..=2);
        while let Some((_, message)) = messages.next().await {
            message.unwrap().read_to_vec().await.unwrap();
        }
    });
    cancelled_everywhere!(client, client.inventory());
}

#[tokio::test]
async fn a_cancelled_wait_in_a_pipeline_loses_nothing() {
    let server = server();
    let mut cancelled = 0;
    for times in 1..12 {
        let mut client = enter(&plain(&server)).await;
        let mut messages = client.retrieve_many(1..=2);
        for (number, mail) in (1..).zip(MAIL) {
            if let Some(asked) = polled(times, async { messages.next().await.unwrap().0 }).await {
                assert_eq!(asked, number);
                continue;
            }
            cancelled += 1;
            let (asked, message) = messages.next().await.unwrap();
            assert_eq!(asked, number);
            assert_eq!(message.unwrap().read_to_vec().await.unwrap(), mail.as_bytes(), "{times}");
        }
        assert!(messages.next().await.is_none());
        is_in_step(&mut client).await;
        assert!(client.quit().await.is_committed());
        assert!(server.wait_closed(server.sessions().len(), ms(5000)));
    }
    assert!(cancelled > 5, "{cancelled}");
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
        // Before STLS has gone out the server refuses a NOOP, after it the client.
        let refused = client.noop().await.unwrap_err();
        if !refused.is_refused() {
            break;
        }
        assert!(times < 3, "a plain NOOP after STLS");
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

/// A server with SASL whose answers come in pieces.
fn with_sasl() -> Server {
    let mail = MAIL.iter().zip(["uid-one", "uid-two"]).map(|(mail, id)| Mail::new(*mail).unique_id(id));
    Server::builder()
        .user("alice", PASSWORD, Maildrop::memory(mail))
        .token("alice", "t0ken")
        .sasl([Mechanism::ScramSha256, Mechanism::OAuthBearer, Mechanism::XOAuth2, Mechanism::Plain])
        .sasl_hidden([Mechanism::Login])
        .segment(24)
        .segment_pause(ms(1))
        .start()
        .unwrap()
}

/// Every `*` answers a challenge.
fn cancels_are_due(server: &Server) {
    let session = ended(server);
    let mut challenged = false;
    for line in &session.lines {
        let text = line.text();
        match line.direction {
            Direction::Server => challenged = text.starts_with("+ "),
            Direction::Client => assert!(challenged || text != "*", "a `*` that nobody asked for"),
        }
    }
}

/// Gives the login up after every number of polls. The session can log in again then, or has logged in.
async fn given_up_everywhere(login: Login) {
    let server = with_sasl();
    let (mut times, mut again_and_in) = (0, 0);
    loop {
        let mut client = Client::connect(&tls(&server)).await.unwrap();
        let done = polled(times, client.login(&login)).await;
        if let Some(outcome) = &done {
            assert!(outcome.is_ok());
        } else {
            let again = client.login(&login).await;
            assert!(!client.is_broken(), "after {times} polls: {}", again.unwrap_err());
            // If it is refused, the login that was given up had come to its end.
            again_and_in += usize::from(again.is_ok());
        }
        assert_eq!(client.state(), popwire::State::Transaction);
        is_in_step(&mut client).await;
        drop(client);
        cancels_are_due(&server);
        if done.is_some() {
            break;
        }
        times += 1 + times / 16;
        assert!(times < 5000, "it is never ready");
    }
    assert!(again_and_in > 0);
}

#[tokio::test]
async fn p_108_a_scram_login_may_be_given_up_at_any_point() {
    given_up_everywhere(login().methods([Mechanism::ScramSha256])).await;
}

#[tokio::test]
async fn p_108_a_login_by_plain_or_login_may_be_given_up_at_any_point() {
    given_up_everywhere(login().methods([Mechanism::Plain])).await;
    given_up_everywhere(login().methods([Mechanism::Login])).await;
}

#[tokio::test]
async fn p_108_a_login_by_token_may_be_given_up_at_any_point() {
    for mechanism in [Mechanism::OAuthBearer, Mechanism::XOAuth2] {
        given_up_everywhere(Login::token("alice", "t0ken").methods([mechanism])).await;
    }
}

#[tokio::test]
async fn p_108_a_login_may_be_given_up_while_the_provider_is_at_work() {
    let provider = |ask: &Ask| {
        std::thread::sleep(ms(3));
        Ok::<_, std::io::Error>(if ask.refused.is_some() { "t0ken" } else { "old" })
    };
    given_up_everywhere(Login::token_from("alice", provider)).await;
}

#[tokio::test]
async fn p_124_an_ok_to_a_scram_login_that_was_given_up_is_not_believed() {
    let script = [say("+OK\r\n")]
        .into_iter()
        .chain(answer("+OK\r\nSASL SCRAM-SHA-256\r\n.\r\n"))
        .chain([Act::Hear, Act::Pause(ms(100)), say("+OK\r\n")])
        .chain(answer("+OK 0 0\r\n"));
    let actor = Actor::play(script);
    let mut client = Client::connect(&actor.connector()).await.unwrap();
    assert!(tokio::time::timeout(ms(30), client.login(&login())).await.is_err());
    let stat = client.stat().await;
    assert!(stat.is_err(), "a session with a server that never proved itself");
}

#[tokio::test]
async fn a_slow_provider_keeps_nobody_else_waiting() {
    let server = with_sasl();
    let ticks = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&ticks);
    let ticking = tokio::spawn(async move {
        loop {
            tokio::time::sleep(ms(5)).await;
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    let provider = |_: &Ask| {
        std::thread::sleep(ms(300));
        Ok::<_, std::io::Error>("t0ken")
    };
    let login = Login::token_from("alice", provider);
    let mut client = Client::connect(&tls(&server)).await.unwrap();
    let before = ticks.load(Ordering::Relaxed);
    client.login(&login).await.unwrap();
    assert!(ticks.load(Ordering::Relaxed) - before > 10);
    drop(client);
    let before = ticks.load(Ordering::Relaxed);
    assert!(server.wait_closed(1, ms(5000)));
    drop(Client::connect_and_login(&tls(&server), &login).await.unwrap());
    assert!(ticks.load(Ordering::Relaxed) - before > 10);
    ticking.abort();
}

#[tokio::test]
async fn a_provider_may_wait_for_something_async() {
    let server = with_sasl();
    let handle = tokio::runtime::Handle::current();
    let login = Login::token_from("alice", move |_: &Ask| {
        handle.block_on(tokio::time::sleep(ms(10)));
        Ok::<_, std::io::Error>("t0ken")
    });
    let mut client = Client::connect(&tls(&server)).await.unwrap();
    client.login(&login).await.unwrap();
}

/// A provider that panics.
fn panics() -> Login {
    fn provider(_: &Ask) -> Result<&'static str, std::io::Error> {
        panic!("the provider panics, as it is told to")
    }
    Login::token_from("alice", provider)
}

#[tokio::test]
async fn a_panic_in_a_provider_is_the_callers() {
    let server = with_sasl();
    let connector = tls(&server);
    for one_go in [false, true] {
        let connector = connector.clone();
        let task = tokio::spawn(async move {
            if one_go {
                let _ = Client::connect_and_login(&connector, &panics()).await;
            } else {
                let mut client = Client::connect(&connector).await.unwrap();
                let _ = client.login(&panics()).await;
            }
        });
        let end = tokio::time::timeout(ms(10_000), task).await.expect("it does not hang");
        assert!(end.unwrap_err().is_panic());
    }
}

#[test]
fn a_panic_in_a_provider_is_the_callers_of_the_blocking_client_too() {
    let server = with_sasl();
    let connector = tls(&server);
    let end = std::thread::spawn(move || {
        let mut client = popwire::blocking::Client::connect(&connector).unwrap();
        let _ = client.login(&panics());
    });
    assert!(end.join().is_err());
    assert!(server.wait_closed(1, ms(5000)), "the session does not end");
}
