//! A mailbox is fetched, and nothing deleted, while the connection fails in ways made up from numbers. Whatever happens,
//! a message is either exactly the one on the server or not there, and the end comes in time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use popwire::{Connector, Error, Timeouts};
use popwire_server::{FaultPlan, Maildrop, Server};

use crate::setting::{PASSWORD, login, ms, plain, tls};

/// How many plans are tried.
const SEEDS: u64 = 400;

/// How many at a time: most of them wait.
const THREADS: usize = 32;

/// What the client is given for all of it, and what a machine with other things to do may add.
const WHOLE: Duration = Duration::from_secs(2);
const SLACK: Duration = Duration::from_secs(8);

/// Four messages, of different sizes, with dots.
fn mail() -> Vec<String> {
    (1..=4)
        .map(|n| format!("Subject: {n}\r\n\r\n{}", "Words, words.\r\n.\r\n..dots\r\n".repeat(3 * n)))
        .collect()
}

fn hurried(connector: Connector) -> Connector {
    let mut timeouts = Timeouts::default();
    for timeout in [
        &mut timeouts.connect,
        &mut timeouts.tls,
        &mut timeouts.greeting,
        &mut timeouts.capa,
        &mut timeouts.login,
        &mut timeouts.command,
        &mut timeouts.first_octet,
        &mut timeouts.idle,
        &mut timeouts.quit,
    ] {
        *timeout = ms(300);
    }
    timeouts.rescue = Some(ms(150));
    timeouts.whole = Some(WHOLE);
    connector.timeouts(timeouts)
}

/// Fetches what there is: each message that came as a whole, and the errors on the way.
macro_rules! fetch {
    ($name:ident, $client:path, [$($asynchronous:tt)*], [$($awaited:tt)*]) => {
        $($asynchronous)* fn $name(connector: &Connector) -> (BTreeMap<u32, Vec<u8>>, Vec<Error>) {
            use $client as Client;
            let (mut whole, mut errors) = (BTreeMap::new(), Vec::new());
            let mut client = match Client::connect_and_login(connector, &login())$($awaited)* {
                Ok(client) => client,
                Err(error) => return (whole, vec![error]),
            };
            errors.extend(client.stat()$($awaited)*.err());
            errors.extend(client.list()$($awaited)*.err());
            errors.extend(client.uidl()$($awaited)*.err());
            for number in 1..=4 {
                match client.retr(number)$($awaited)* {
                    Err(error) => errors.push(error),
                    Ok(mut message) => match message.read_to_vec()$($awaited)* {
                        Err(error) => errors.push(error),
                        Ok(octets) => assert!(whole.insert(number, octets).is_none()),
                    },
                }
            }
            let _ = client.quit()$($awaited)*;
            (whole, errors)
        }
    };
}

fetch!(fetch_blocking, popwire::blocking::Client, [], []);
fetch!(fetch_async, popwire::tokio::Client, [async], [.await]);

#[test]
fn no_fault_makes_a_message_wrong_or_the_client_wait() {
    let mail = mail();
    let (next, perfect, broken) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= SEEDS {
                        return;
                    }
                    let plan = FaultPlan::from_seed(seed);
                    let server = Server::builder()
                        .user("alice", PASSWORD, Maildrop::memory(mail.iter().map(String::as_bytes)))
                        .fault_plan(plan.clone())
                        .start()
                        .unwrap();
                    // Each door with TLS and without.
                    let connector = hurried(if seed % 2 == 0 { tls(&server) } else { plain(&server) });
                    let start = Instant::now();
                    let (got, errors) = match seed / 2 % 2 {
                        0 => fetch_blocking(&connector),
                        _ => runtime.block_on(fetch_async(&connector)),
                    };
                    let (took, at) = (start.elapsed(), format!("seed {seed}, {plan}: {errors:?}"));
                    assert!(took < WHOLE + SLACK, "{took:?}, {at}");
                    for (number, octets) in &got {
                        let right = mail[*number as usize - 1].as_bytes();
                        assert_eq!(
                            String::from_utf8_lossy(octets),
                            String::from_utf8_lossy(right),
                            "message {number}, {at}"
                        );
                    }
                    assert!(got.len() == mail.len() || !errors.is_empty(), "{} messages, {at}", got.len());
                    let count = if errors.is_empty() { &perfect } else { &broken };
                    count.fetch_add(1, Ordering::Relaxed);
                    assert_eq!(server.maildrop("alice").unwrap().len().unwrap(), mail.len(), "{at}");
                }
            });
        }
    });
    // Neither are all plans harmless, nor does every one of them end the session.
    let (perfect, broken) = (perfect.into_inner(), broken.into_inner());
    assert!(perfect > SEEDS / 10 && broken > SEEDS / 10, "{perfect} without an error, {broken} with one");
}
