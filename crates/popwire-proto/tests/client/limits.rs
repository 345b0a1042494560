//! A server cannot make the client hold more than its limits say, nor keep it busy for nothing.

use std::time::{Duration, Instant};

use popwire_proto::command::*;
use popwire_proto::{Body, Client, Command, Error, Limits, Oversize, Reply};
use proptest::prelude::*;

use crate::talk::{Talk, user};

/// The size of the receive buffer; the machine tells it where nothing is unread.
fn buffer(client: &mut Client) -> usize {
    client.space().len()
}

/// A flood: these octets over and over, until the machine has had enough or so many octets came.
/// Returns how many came, and what the machine said.
fn flood(talk: &mut Talk, octets: &[u8], most: usize) -> (usize, Result<Option<Reply>, Error>) {
    let piece = octets.repeat((64 << 10) / octets.len() + 1);
    let mut came = 0;
    while came < most {
        talk.server(&piece);
        came += piece.len();
        match talk.client.reply() {
            Ok(None) => {}
            end => return (came, end),
        }
    }
    (came, Ok(None))
}

fn small() -> Limits {
    let mut limits = Limits::default();
    limits.listing_octets = 100_000;
    limits.listing_entries = 1000;
    limits
}

#[test]
fn q_010_a_flood_of_answer_lines_ends_in_an_error_and_not_in_memory() {
    fn flooded<C: Command>(command: &C, line: &[u8]) {
        let mut talk = Talk::logged_in_within(small());
        talk.send(command).unwrap();
        talk.server(b"+OK\r\n");
        let (came, end) = flood(&mut talk, line, 10 << 20);
        assert_eq!(end, Err(Error::TooLarge { what: Oversize::Listing, limit: 100_000 }));
        assert!(came <= 300_000, "{came} octets until it was noticed");
        assert!(talk.client.is_broken());
    }
    flooded(&CapaCommand, b"X\r\n");
    flooded(&ListCommand, b"1 1\r\n");
    flooded(&UidlCommand, b"1 a\r\n");
    flooded(&LangListCommand, b"en\r\n");
    flooded(&AuthListCommand, b"PLAIN\r\n");
    flooded(&RawCommand::multi("XTND"), b"..\r\n");
    flooded(&ListCommand, b"a line without an end ");
}

#[test]
fn the_limits_of_entries_and_lines_are_exact() {
    let lines = |count: u32, tail: &str| -> Vec<u8> {
        let lines: String = (1..=count).map(|n| format!("{n}{tail}\r\n")).collect();
        format!("+OK\r\n{lines}.\r\n").into_bytes()
    };
    let mut talk = Talk::logged_in_within(small());
    assert_eq!(talk.ask(&ListCommand, &lines(1000, " 1")).unwrap().len(), 1000);
    assert_eq!(talk.ask(&UidlCommand, &lines(1000, " a")).unwrap().len(), 1000);
    let entries = Err(Error::TooLarge { what: Oversize::Entries, limit: 1000 });
    assert_eq!(talk.ask(&ListCommand, &lines(1001, " 1")), entries.clone().map(|()| unreachable!()));
    assert_eq!(talk.ask(&UidlCommand, &lines(1001, " a")), entries.map(|()| unreachable!()));
    assert_eq!(talk.ask(&CapaCommand, &lines(256, "")).unwrap().iter().len(), 256);
    let error = talk.ask(&CapaCommand, &lines(257, "")).unwrap_err();
    assert_eq!(error, Error::TooLarge { what: Oversize::Capabilities, limit: 256 });
    assert_eq!(
        talk.ask(&StatCommand, b"+OK 0 0\r\n").unwrap().messages,
        0,
        "all was read: the session lives"
    );
}

#[test]
fn a_listing_may_have_exactly_as_many_octets_as_its_limit() {
    let answer = |octets: usize| [b"+OK\r\n", &[b'x'; 100_000][..octets - 2], b"\r\n.\r\n"].concat();
    let raw = RawCommand::multi("XTND");
    let mut talk = Talk::logged_in_within(small());
    assert_eq!(talk.ask(&raw, &answer(100_000)).unwrap().data().len(), 100_000);
    let mut limits = small();
    limits.listing_octets = 99_999;
    let error = Talk::logged_in_within(limits).ask(&raw, &answer(100_000)).unwrap_err();
    assert_eq!(error, Error::TooLarge { what: Oversize::Listing, limit: 99_999 });
}

#[test]
fn p_009_a_listing_line_beyond_the_limit_costs_that_answer() {
    let mut talk = Talk::logged_in();
    let uidl = |octets: usize| format!("+OK\r\n1 {}\r\n.\r\n", "x".repeat(octets - 4)).into_bytes();
    assert_eq!(
        talk.ask(&UidlCommand, &uidl(2048)).unwrap().skipped(),
        1,
        "the id is too long, the line is not"
    );
    assert_eq!(talk.ask(&UidlCommand, &uidl(2049)).unwrap_err(), Error::LineTooLong { limit: 2048 });
    let capa = format!("+OK\r\nX-{}\r\n.\r\n", "x".repeat(2045));
    assert_eq!(talk.ask(&CapaCommand, capa.as_bytes()).unwrap_err(), Error::LineTooLong { limit: 2048 });
    assert_eq!(talk.ask(&StatCommand, b"+OK 0 0\r\n").unwrap().messages, 0);
}

#[test]
fn an_endless_status_line_ends_at_its_limit() {
    for (octets, first) in [(&b"x"[..], &b"+OK "[..]), (b"\0", b""), (b"\r", b"-ERR"), (b"+OK ", b"")] {
        let mut talk = Talk::logged_in();
        talk.send(&NoopCommand).unwrap();
        talk.server(first);
        let (came, end) = flood(&mut talk, octets, 1 << 20);
        assert_eq!(end, Err(Error::LineTooLong { limit: 2048 }));
        assert!(came < 70_000);
    }
    let mut talk = Talk::silent();
    assert_eq!(flood(&mut talk, b"x", 1 << 20).1, Err(Error::LineTooLong { limit: 2048 }), "or a greeting");
}

#[test]
fn a_listing_of_a_million_messages_is_read_in_no_time() {
    let begin = Instant::now();
    let mut lines: String = (1..=1_000_000u32).rev().map(|n| format!("{n} {n}\r\n")).collect();
    lines.insert_str(0, "+OK\r\n");
    lines.push_str(".\r\n");
    let mut talk = Talk::logged_in();
    talk.send(&ListCommand).unwrap();
    let mut largest = 0;
    for piece in lines.as_bytes().chunks(1460) {
        talk.server(piece);
        if let Some(reply) = talk.client.reply().unwrap() {
            let list = ListCommand.decode(reply, &Limits::default()).unwrap();
            assert_eq!(list.len(), 1_000_000);
            assert_eq!(list.get(777_777).unwrap().octets, Some(777_777));
        }
        largest = largest.max(buffer(&mut talk.client));
    }
    assert!(talk.client.is_settled());
    assert!(largest <= Limits::default().receive_buffer, "{largest}");
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

/// Streams this through a body, over a wire that fills whatever room there is; the octets that came out and the largest
/// room.
fn stream(talk: &mut Talk, wire: impl Iterator<Item = Vec<u8>>) -> (u64, usize) {
    talk.ask_for_reply(&RetrCommand { number: 1 }, b"+OK\r\n").unwrap();
    let (mut received, mut largest) = (0, 0);
    for piece in wire {
        // As a driver does it: read what fits, take out what is there, read again.
        let mut rest = &piece[..];
        while !rest.is_empty() {
            let space = talk.client.space();
            largest = largest.max(space.len());
            let now = rest.len().min(space.len());
            space[..now].copy_from_slice(&rest[..now]);
            talk.client.filled(now);
            rest = &rest[now..];
            while let Body::Chunk(chunk) = talk.client.body().unwrap() {
                let octets = chunk.len();
                received += octets as u64;
                talk.client.consume(octets);
            }
        }
    }
    (received, largest)
}

#[test]
fn p_029_a_line_of_64_mib_passes_through_a_small_buffer() {
    const PIECES: usize = 64;
    for line in [&b"x"[..], b".", b"\r", b"\r.", b"x.\r"] {
        let begin = Instant::now();
        let mut talk = Talk::logged_in();
        let piece = line.repeat((1 << 20) / line.len());
        let end = [b"Subject: x\r\n\r\n ".to_vec()].into_iter();
        let wire = end.chain((0..PIECES).map(|_| piece.clone())).chain([b"\r\n.\r\n".to_vec()]);
        let (received, largest) = stream(&mut talk, wire);
        assert_eq!(received, 15 + (PIECES * piece.len()) as u64 + 2);
        assert!(largest <= Limits::default().receive_buffer, "{largest}");
        assert!(talk.client.is_settled());
        assert!(begin.elapsed() < Duration::from_secs(20), "{line:?}: {:?}", begin.elapsed());
    }
}

#[test]
fn p_029_a_million_stuffed_lines_cost_no_more_than_their_octets() {
    let begin = Instant::now();
    let mut talk = Talk::logged_in();
    let piece = b"..\r\n".repeat(1 << 20);
    let wire = (0..4).map(|_| piece.clone()).chain([b".\r\n".to_vec()]);
    let (received, largest) = stream(&mut talk, wire);
    assert_eq!(received, 4 * 3 * (1 << 20));
    assert!(largest <= Limits::default().receive_buffer, "{largest}");
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[test]
fn the_receive_buffer_has_the_size_that_its_limit_allows() {
    for receive_buffer in [1, 2, 100, 4096, 20_000, 1 << 20] {
        let mut limits = Limits::default();
        limits.receive_buffer = receive_buffer;
        limits.response_line = 64;
        let mut talk = Talk::logged_in_within(limits);
        let piece = b"0123456789abcdef.\r\n..\r\n".repeat(100_000);
        let wire = (0..2).map(|_| piece.clone()).chain([b".\r\n".to_vec()]);
        let (received, largest) = stream(&mut talk, wire);
        assert_eq!(received, 2 * 100_000 * 22);
        // A status line of 64 octets must fit, whatever the limit says.
        assert!(largest <= receive_buffer.max(128), "{receive_buffer}: {largest}");
    }
}

#[test]
fn a_message_beyond_its_limit_is_an_error() {
    let mut limits = Limits::default();
    limits.message_octets = 10;
    let (retr, ok) = (RetrCommand { number: 1 }, b"+OK\r\n01234567\r\n.\r\n");
    assert_eq!(Talk::logged_in_within(limits.clone()).fetch(&retr, ok).unwrap().0, b"01234567\r\n");
    let error = Talk::logged_in_within(limits).fetch(&retr, b"+OK\r\n012345678\r\n.\r\n").unwrap_err();
    assert_eq!(error, Error::TooLarge { what: Oversize::Message, limit: 10 });
}

#[test]
fn a_message_that_was_given_up_is_skipped_up_to_a_limit() {
    for (octets, verdict) in [(999_000, Ok(true)), (1_100_000, Err(Error::Abandoned))] {
        let mut talk = Talk::logged_in();
        talk.send(&RetrCommand { number: 1 }).unwrap();
        talk.server(&[b"+OK\r\n", &vec![b'x'; octets][..], b"\r\n.\r\n"].concat());
        assert_eq!(talk.client.settle(), verdict);
    }
}

#[test]
fn a_listing_that_was_given_up_is_skipped_up_to_the_same_limit() {
    let mut talk = Talk::logged_in();
    talk.send(&UidlCommand).unwrap();
    talk.server(&[b"+OK\r\n", &b"1 abcdef\r\n".repeat(200_000)[..], b".\r\n"].concat());
    assert_eq!(talk.client.settle(), Err(Error::Abandoned));
}

/// What a server without manners may say: more often than by chance, what means something.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => Just(b"+OK\r\n".to_vec()),
        2 => Just(b"-ERR x\r\n".to_vec()),
        2 => Just(b"+ \r\n".to_vec()),
        4 => Just(b".\r\n".to_vec()),
        2 => Just(b"1 2\r\n".to_vec()),
        1 => Just(b".\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => Just(b"+OK [IN-USE] <a@b>\n".to_vec()),
        4 => prop::collection::vec(any::<u8>(), 1..20),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn submit_some(client: &mut Client, which: u8) {
    let number = u32::from(which);
    // A refusal is as good as anything here.
    let _ = match which % 10 {
        0 => client.submit(&StatCommand).map(|_| ()),
        1 => client.submit(&ListCommand).map(|_| ()),
        2 => client.submit(&UidlCommand).map(|_| ()),
        3 => client.submit(&RetrCommand { number }).map(|_| ()),
        4 => client.submit(&TopCommand { number, lines: 1 }).map(|_| ()),
        5 => client.submit(&CapaCommand).map(|_| ()),
        6 => client.submit(&user("a")).map(|_| ()),
        7 => client.submit(&AuthCommand { mechanism: b"X".to_vec(), initial: None }).map(|_| ()),
        8 => client.submit(&RawCommand::multi("X")).map(|_| ()),
        _ => client.submit(&UidlOneCommand { number }).map(|_| ()),
    };
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn whatever_a_server_says_the_machine_neither_panics_nor_spins_nor_grows(
        octets in garbage(),
        greeted in any::<bool>(),
        commands in prop::collection::vec(any::<u8>(), 0..12),
        sizes in prop::collection::vec(1usize..50, 1..5),
    ) {
        let mut client = Client::new(small());
        if greeted {
            client.space()[..5].copy_from_slice(b"+OK\r\n");
            client.filled(5);
            client.reply().unwrap();
        }
        let (mut rest, mut turns, mut commands) = (&octets[..], sizes.iter().cycle(), commands.into_iter());
        let mut steps = 0;
        let most = 10 * (octets.len() + 100);
        loop {
            if let Some(which) = commands.next() {
                submit_some(&mut client, which);
            }
            let size = (*turns.next().unwrap()).min(rest.len());
            let (piece, tail) = rest.split_at(size);
            rest = tail;
            client.space()[..size].copy_from_slice(piece);
            client.filled(size);
            let finished = size == 0;
            // Each step takes something or is the last: so their number has a bound.
            loop {
                steps += 1;
                prop_assert!(steps < most, "spinning");
                let mut stepped = false;
                if let Ok(Body::Chunk(chunk)) = client.body() {
                    let octets = chunk.len();
                    client.consume(octets);
                    stepped = true;
                }
                stepped |= matches!(client.reply(), Ok(Some(_)));
                if !stepped {
                    break;
                }
            }
            client.rescue();
            prop_assert!(client.space().len() <= 16 << 10, "it has grown for a few octets");
            if finished {
                break;
            }
        }
        // The connection has ended: whatever was owed is an error now, and nothing is waited for.
        prop_assert!(client.is_settled() || client.reply().is_err());
    }
}
