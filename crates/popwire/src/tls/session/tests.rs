//! The session against a server of rustls' own, in memory.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection};

use super::{FIRST, MOST, Plain, Session, Step};

/// Both ends, and what the server has sent that the client has not received.
struct Pair {
    client: Session,
    server: ServerConnection,
    wire: Vec<u8>,
}

fn pair(set: impl FnOnce(&mut ServerConfig)) -> Pair {
    let provider = super::super::imp::provider;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let certificate = made.cert.der().clone();
    let mut server = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    set(&mut server);
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    server.set_buffer_limit(None);
    let client = Session::new(Arc::new(client), "localhost".try_into().unwrap()).unwrap();
    Pair { client, server, wire: Vec::new() }
}

/// After the handshake, with everything received that the server sent in it.
fn established(set: impl FnOnce(&mut ServerConfig)) -> Pair {
    let mut pair = pair(set);
    pair.shake_hands(usize::MAX);
    pair.server_sends();
    assert_eq!(pair.read_all(usize::MAX), b"");
    pair
}

/// What a read got.
#[derive(Debug, PartialEq)]
enum Read {
    Octets(Vec<u8>),
    Wait,
    End,
    Failed(rustls::Error),
}

impl Read {
    fn octets(&self) -> usize {
        match self {
            Self::Octets(octets) => octets.len(),
            _ => 0,
        }
    }
}

fn got(octets: impl AsRef<[u8]>) -> Read {
    Read::Octets(octets.as_ref().to_vec())
}

impl Pair {
    /// Takes the client's handshake to its end, in pieces of so many octets.
    fn shake_hands(&mut self, piece: usize) {
        loop {
            match self.client.handshake().unwrap() {
                Step::Send => self.client_sends(),
                Step::Receive => {
                    self.server_sends();
                    assert!(self.client_receives(piece) > 0);
                }
                Step::Done => return,
            }
        }
    }

    fn client_sends(&mut self) {
        let mut sent = self.client.outgoing();
        while !sent.is_empty() {
            self.server.read_tls(&mut sent).unwrap();
            self.server.process_new_packets().unwrap();
        }
        self.client.sent(self.client.outgoing().len());
        assert!(self.client.outgoing().is_empty());
    }

    fn server_says(&mut self, octets: impl AsRef<[u8]>) {
        self.server.writer().write_all(octets.as_ref()).unwrap();
        self.server_sends();
    }

    fn server_sends(&mut self) {
        while self.server.wants_write() {
            self.server.write_tls(&mut self.wire).unwrap();
        }
    }

    fn server_heard(&mut self) -> Vec<u8> {
        let mut heard = vec![0; 100_000];
        let octets = self.server.reader().read(&mut heard).unwrap();
        heard.truncate(octets);
        heard
    }

    /// One read from the wire, of so many octets at most.
    fn client_receives(&mut self, most: usize) -> usize {
        let space = self.client.incoming_space();
        let octets = space.len().min(most).min(self.wire.len());
        space[..octets].copy_from_slice(&self.wire[..octets]);
        self.wire.drain(..octets);
        self.client.received(octets);
        octets
    }

    fn read(&mut self, room: usize) -> Read {
        let mut buffer = vec![0; room];
        match self.client.read_plaintext(&mut buffer) {
            Ok(Plain::Octets(octets)) => Read::Octets(buffer[..octets].to_vec()),
            Ok(Plain::Wait) => Read::Wait,
            Ok(Plain::End) => Read::End,
            Err(e) => Read::Failed(e.get_ref().unwrap().downcast_ref::<rustls::Error>().unwrap().clone()),
        }
    }

    /// Receives and reads all that was sent, in pieces of so many octets of the wire.
    fn read_all(&mut self, piece: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while !self.wire.is_empty() {
            self.client_receives(piece);
            loop {
                match self.read(1000) {
                    Read::Octets(octets) => all.extend(octets),
                    Read::Wait => break,
                    other => panic!("{other:?}"),
                }
            }
        }
        all
    }
}

#[test]
fn one_read_takes_all_records_that_are_there_and_fit() {
    let mut pair = established(|_| {});
    let lines: Vec<String> = (0..600).map(|n| format!("{n:05} line\r\n")).collect();
    lines.iter().for_each(|line| pair.server_says(line));
    let said = lines.concat();
    let records = pair.wire.len();
    assert!(records < FIRST * 2, "{records} octets in 600 records");
    // What does not fit in the first room comes by a second read from the wire.
    let first = pair.client_receives(usize::MAX);
    assert_eq!(first, FIRST);
    let Read::Octets(begin) = pair.read(100_000) else { panic!() };
    assert!(begin.len() > 300 * 12 && said.as_bytes().starts_with(&begin), "{} octets", begin.len());
    assert_eq!(pair.client_receives(usize::MAX), records - first);
    assert_eq!(pair.read(100_000), got(&said[begin.len()..]));
    assert_eq!(pair.read(100_000), Read::Wait);
}

#[test]
fn a_read_takes_no_more_than_fits_and_loses_nothing() {
    let mut pair = established(|_| {});
    (0..10).for_each(|n| pair.server_says([b'0' + n; 10]));
    pair.client_receives(usize::MAX);
    assert_eq!(pair.read(0), got(""));
    assert_eq!(pair.read(15), got("000000000011111"));
    assert_eq!(pair.read(0), got(""));
    assert_eq!(pair.read(25), got("1111122222222223333333333"));
    assert_eq!(pair.read(1000).octets(), 60);
    assert_eq!(pair.read(0), got(""));
    assert_eq!(pair.read(1), Read::Wait);
}

#[test]
fn records_are_put_together_wherever_the_wire_splits_them() {
    let mut pair = established(|_| {});
    let octets = |pair: &mut Pair| {
        pair.server_says("+OK 3 messages\r\n");
        pair.server_says("1 100\r\n2 200\r\n");
        pair.server.refresh_traffic_keys().unwrap();
        pair.server_says("3 300\r\n.\r\n");
        pair.wire.len()
    };
    let said = "+OK 3 messages\r\n1 100\r\n2 200\r\n3 300\r\n.\r\n";
    let len = octets(&mut pair);
    assert_eq!(pair.read_all(1), said.as_bytes());
    for at in 1..len {
        // rustls takes 32 key updates in a row, but not without end.
        if at % 16 == 0 {
            pair = established(|_| {});
        }
        assert_eq!(octets(&mut pair), len);
        let rest = pair.wire.split_off(at);
        let mut read = pair.read_all(usize::MAX);
        pair.wire = rest;
        read.extend(pair.read_all(usize::MAX));
        assert_eq!(read, said.as_bytes(), "split at {at}");
    }
}

#[test]
fn a_handshake_in_single_octets() {
    let mut pair = pair(|_| {});
    pair.shake_hands(1);
    pair.server_says("+OK ready\r\n");
    assert_eq!(pair.read_all(1), b"+OK ready\r\n");
    assert_eq!(pair.client.write(b"QUIT\r\n").unwrap(), 6);
    pair.client_sends();
    assert_eq!(pair.server_heard(), b"QUIT\r\n");
}

#[test]
fn words_in_the_last_flight_of_the_handshake_are_not_lost() {
    let mut pair = pair(|config| config.send_half_rtt_data = true);
    assert_eq!(pair.client.handshake().unwrap(), Step::Send);
    pair.client_sends();
    // The server speaks before it has the client's Finished.
    pair.server_says("+OK ready\r\n");
    assert!(pair.server.is_handshaking());
    assert_eq!(pair.client.handshake().unwrap(), Step::Receive);
    assert!(pair.client_receives(usize::MAX) > 500 && pair.wire.is_empty());
    pair.shake_hands(usize::MAX);
    assert_eq!(pair.read(100), got("+OK ready\r\n"));
    assert!(!pair.server.is_handshaking());
}

#[test]
fn records_that_carry_no_data_are_no_octets() {
    let mut pair = pair(|config| config.send_tls13_tickets = 300);
    pair.shake_hands(usize::MAX);
    pair.server_sends();
    assert!(pair.wire.len() > FIRST, "{}", pair.wire.len());
    let mut reads = 0;
    while !pair.wire.is_empty() {
        pair.client_receives(usize::MAX);
        assert_eq!(pair.read(100), Read::Wait);
        reads += 1;
    }
    assert!(reads > 1);
    pair.server_says("+OK ready\r\n");
    pair.client_receives(usize::MAX);
    assert_eq!(pair.read(100), got("+OK ready\r\n"));
}

#[test]
fn the_end_comes_after_the_last_octet_and_stays() {
    for close_notify in [false, true] {
        let mut pair = established(|_| {});
        pair.server_says("+OK bye\r\n");
        if close_notify {
            pair.server.send_close_notify();
            pair.server_sends();
            // Nothing counts behind it.
            pair.wire.extend_from_slice(&[0x17, 3, 3, 0, 4, 1, 2, 3, 4]);
        }
        pair.client_receives(usize::MAX);
        assert_eq!(pair.read(100), got("+OK bye\r\n"));
        if !close_notify {
            assert_eq!(pair.read(100), Read::Wait);
            assert_eq!(pair.client_receives(usize::MAX), 0);
        }
        assert_eq!(pair.read(100), Read::End);
        assert_eq!(pair.read(100), Read::End);
    }
}

#[test]
fn an_end_within_a_record_is_the_end() {
    let mut pair = established(|_| {});
    pair.server_says("+OK bye\r\n");
    pair.wire.truncate(pair.wire.len() - 1);
    assert_eq!(pair.read_all(usize::MAX), b"");
    assert_eq!(pair.client_receives(usize::MAX), 0);
    assert_eq!(pair.read(100), Read::End);
}

#[test]
fn a_forged_record_fails_the_session_after_what_was_true() {
    let mut pair = established(|_| {});
    pair.server_says("+OK 1 message\r\n");
    let forged = pair.wire.len() + 20;
    pair.server_says("+OK another\r\n");
    pair.wire[forged] ^= 1;
    pair.client_receives(usize::MAX);
    assert_eq!(pair.read(100), got("+OK 1 message\r\n"));
    assert!(pair.client.outgoing().len() > 2, "no alert");
    let mut alert = pair.client.outgoing();
    pair.server.read_tls(&mut alert).unwrap();
    let told = pair.server.process_new_packets().unwrap_err();
    assert_eq!(told, rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac));
    pair.client.sent(usize::MAX);
    for _ in 0..3 {
        assert_eq!(pair.read(100), Read::Failed(rustls::Error::DecryptError));
        assert!(pair.client.outgoing().is_empty());
    }
    assert!(pair.client.write(b"NOOP\r\n").is_err());
}

#[test]
fn a_handshake_that_ends_early_is_no_session() {
    let mut pair = pair(|_| {});
    pair.client.sent(usize::MAX);
    assert_eq!(pair.client.handshake().unwrap(), Step::Receive);
    pair.client_receives(usize::MAX);
    assert_eq!(pair.client.handshake().unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn new_keys_are_used_and_answered() {
    let mut pair = established(|_| {});
    for round in 0..3 {
        pair.server.refresh_traffic_keys().unwrap();
        pair.server_says("+OK\r\n");
        assert_eq!(pair.read_all(usize::MAX), b"+OK\r\n", "{round}");
        pair.client.write(b"NOOP\r\n").unwrap();
        // The record with the command, and before it the answer: a key update of its own.
        assert!(pair.client.outgoing().len() > 2 * 22, "{} octets", pair.client.outgoing().len());
        pair.client_sends();
        assert_eq!(pair.server_heard(), b"NOOP\r\n");
    }
}

#[test]
fn what_was_sent_in_part_goes_on_where_it_stopped() {
    let mut pair = established(|_| {});
    let said = vec![b'x'; 40_000];
    assert_eq!(pair.client.write(&said).unwrap(), said.len());
    let whole = pair.client.outgoing().to_vec();
    let mut sent = Vec::new();
    while let Some(octet) = pair.client.outgoing().first() {
        sent.push(*octet);
        pair.client.sent(1);
    }
    assert_eq!(sent, whole);
    pair.client.close_notify();
    pair.client.close_notify();
    sent.extend_from_slice(pair.client.outgoing());
    let (mut rest, mut heard) = (&sent[..], 0);
    while !rest.is_empty() {
        pair.server.read_tls(&mut rest).unwrap();
        if pair.server.process_new_packets().unwrap().plaintext_bytes_to_read() > 0 {
            heard += pair.server_heard().len();
        }
    }
    assert_eq!(heard, said.len());
    assert_eq!(pair.server.reader().read(&mut [0; 1]).unwrap(), 0, "no close_notify");
}

#[test]
fn room_grows_while_reads_fill_it_up_to_its_bound() {
    let mut pair = established(|_| {});
    let (said, mut read, mut rooms) = (vec![b'x'; 1 << 20], 0, Vec::new());
    pair.server_says(&said);
    while !pair.wire.is_empty() {
        rooms.push(pair.client_receives(usize::MAX));
        while let Read::Octets(octets) = pair.read(50_000) {
            read += octets.len();
        }
    }
    assert_eq!(read, said.len());
    assert_eq!(rooms[..5], [FIRST, FIRST * 2, FIRST * 4, MOST, MOST]);
    assert!(rooms.iter().all(|room| *room <= MOST) && pair.client.incoming.len() == MOST);
    // Reads that bring little leave a small room small.
    let mut pair = established(|_| {});
    for _ in 0..100 {
        pair.server_says(&said[..1000]);
        assert_eq!(pair.read_all(usize::MAX).len(), 1000);
    }
    assert_eq!(pair.client.incoming.len(), FIRST);
    // Nor does rustls keep more than it was given.
    pair.server_says(&said);
    for _ in 0..20 {
        pair.client_receives(usize::MAX);
        while pair.read(100_000).octets() > 0 {}
        assert!(pair.client.unread.is_empty() && pair.client.outgoing.is_empty());
    }
}
