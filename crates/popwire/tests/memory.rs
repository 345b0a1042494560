//! Messages stream in bounded memory, whatever their size and the length of their lines.
//!
//! The server runs in this process too, and makes its messages up while it sends them; so the peak of the whole
//! process is measured, and this file is a test program of its own with one test at a time.

#![cfg(all(feature = "blocking", feature = "tokio", any(feature = "aws-lc-rs", feature = "ring")))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

use std::io::{BufRead as _, Read as _};
use std::time::Instant;

use popwire::{Connector, Login, Tls};
use popwire_interop::rss;
use popwire_server::{Content, Maildrop, Server};
use tokio::io::AsyncReadExt as _;

const MIB: u64 = 1 << 20;

/// A gigabyte in lines of 76 characters, and 64 MiB in one line.
const SIZES: [(u64, u64); 2] = [(1024 * MIB, 76), (64 * MIB, 65 * MIB)];

/// How much the whole process may hold at its peak, server and all, in KiB.
const MOST: u64 = 32 << 10;

/// What was read, without keeping it.
#[derive(Default)]
struct Count {
    octets: u64,
    dots: u64,
}

impl std::io::Write for Count {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.octets += octets.len() as u64;
        self.dots += octets.first().map_or(0, |first| u64::from(*first == b'.'));
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn measured(what: &str, size: u64, read: impl FnOnce() -> u64) {
    rss::reset_peak().unwrap();
    let (before, start) = (rss::peak_kib().unwrap(), Instant::now());
    assert_eq!(read(), size, "{what}");
    let peak = rss::peak_kib().unwrap();
    let grown = peak.saturating_sub(before);
    eprintln!(
        "{what}: {} MiB in {:.1?}, peak {peak} KiB, {grown} more than before",
        size / MIB,
        start.elapsed()
    );
    assert!(peak < MOST, "{what} of {size} octets: {peak} KiB");
}

#[test]
fn p_029_a_gigabyte_and_an_endless_line_stream_in_bounded_memory() {
    let messages = SIZES.map(|(size, line_len)| Content::Generated { size, line_len });
    let server = Server::builder().user("alice", "s3cret", Maildrop::memory(messages)).start().unwrap();
    let tls = Tls::new().with_root_certificates(server.ca_pem().as_bytes()).unwrap();
    let secure = Connector::new("localhost").port(server.tls_addr().port()).tls(tls);
    let plain = Connector::new("localhost")
        .port(server.addr().port())
        .security(popwire::Security::Plain)
        .dangerous_login_without_verified_tls();
    let login = Login::password("alice", "s3cret");
    let (long, line) = (SIZES[0].0, SIZES[1].0);

    let mut client = popwire::blocking::Client::connect(&plain).unwrap();
    client.login(&login).unwrap();
    measured("blocking, copy_to", long, || client.retr(1).unwrap().copy_to(&mut Count::default()).unwrap());
    measured("blocking, one line by BufRead", line, || {
        let mut message = client.retr(2).unwrap();
        let mut octets = 0;
        loop {
            let chunk = message.fill_buf().unwrap().len();
            if chunk == 0 {
                return octets;
            }
            octets += chunk as u64;
            message.consume(chunk);
        }
    });
    measured("blocking, one line by Read", line, || {
        let (mut message, mut piece, mut octets) = (client.retr(2).unwrap(), vec![0; 5000], 0);
        while let read @ 1.. = message.read(&mut piece).unwrap() {
            octets += read as u64;
        }
        octets
    });
    assert!(client.quit().is_committed());
    assert!(server.wait_closed(1, std::time::Duration::from_secs(5)));

    let mut client = popwire::blocking::Client::connect(&secure).unwrap();
    client.login(&login).unwrap();
    measured("blocking over TLS, one line", line, || {
        client.retr(2).unwrap().copy_to(&mut Count::default()).unwrap()
    });
    assert!(client.quit().is_committed());
    assert!(server.wait_closed(2, std::time::Duration::from_secs(5)));

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut client = runtime.block_on(popwire::tokio::Client::connect(&plain)).unwrap();
    runtime.block_on(client.login(&login)).unwrap();
    measured("tokio, copy_to", long, || {
        runtime
            .block_on(async { client.retr(1).await.unwrap().copy_to(&mut tokio::io::sink()).await.unwrap() })
    });
    measured("tokio, one line by AsyncRead", line, || {
        runtime.block_on(async {
            let (mut message, mut piece, mut octets) = (client.retr(2).await.unwrap(), vec![0; 5000], 0);
            while let read @ 1.. = message.read(&mut piece).await.unwrap() {
                octets += read as u64;
            }
            octets
        })
    });
    assert!(runtime.block_on(client.quit()).is_committed());
}
