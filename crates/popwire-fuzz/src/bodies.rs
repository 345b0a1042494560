//! Messages: stuffed, sent, unstuffed.

use popwire_proto::command::RetrCommand;
use popwire_proto::stuff::{LineEnds, Stuffer, TopCutter, WireSize};
use popwire_proto::{Body, Client, End, Limits};

use crate::Choices;

/// What a client makes of the octets after the `+OK` of RETR: the message, or `None` if it did not end; and how many
/// octets after its end were not touched.
fn received(wire: &[u8], piece: usize) -> Option<(Vec<u8>, usize)> {
    let mut client = Client::new(Limits::default());
    let fill = |client: &mut Client, octets: &[u8]| {
        let space = client.space();
        let taken = octets.len().min(space.len()).min(piece.max(1));
        space[..taken].copy_from_slice(&octets[..taken]);
        client.filled(taken);
        taken
    };
    for answer in [&b"+OK\r\n"[..], b"+OK\r\n"] {
        let mut left = answer;
        while client.reply().unwrap().is_none() {
            let taken = fill(&mut client, left);
            left = &left[taken..];
        }
        // The second one answers this.
        if !client.is_reading() {
            let _ = client.submit(&RetrCommand { number: 1 });
            client.sent(client.unsent().len());
        }
    }
    let (mut message, mut left) = (Vec::new(), wire);
    loop {
        let octets = match client.body() {
            Ok(Body::Chunk(chunk)) => {
                message.extend_from_slice(chunk);
                chunk.len()
            }
            Ok(Body::NeedMore) => 0,
            Ok(Body::End(End::Regular)) => break,
            Ok(Body::End(End::Irregular(_))) | Err(_) => return None,
        };
        client.consume(octets);
        if octets == 0 {
            let taken = fill(&mut client, left);
            left = &left[taken..];
        }
    }
    Some((message, left.len()))
}

/// The rule by which messages end, in its plainest form: lines end as the first one does, in CRLF or in LF; a line that
/// is a lone dot ends the message; one dot is taken from other lines that begin with one.
fn by_the_book(wire: &[u8]) -> Option<Vec<u8>> {
    let first = wire.iter().position(|octet| *octet == b'\n')?;
    let bare = first == 0 || wire[first - 1] != b'\r';
    let mut message = Vec::new();
    let mut rest = wire;
    loop {
        if rest.starts_with(b".\r\n") || (bare && rest.starts_with(b".\n")) {
            return Some(message);
        }
        // The end of this line, in the sense of the message's style.
        let end = match bare {
            true => rest.iter().position(|octet| *octet == b'\n')? + 1,
            false => rest.windows(2).position(|pair| pair == b"\r\n")? + 2,
        };
        let (line, later) = rest.split_at(end);
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        rest = later;
    }
}

/// However the octets of a message come, the same message is made of them, and it is the one that the book says.
pub fn body(data: &[u8]) {
    let mut choices = Choices(data);
    let piece = choices.below(17);
    let wire = choices.rest();
    let whole = received(wire, usize::MAX).map(|(message, _)| message);
    assert_eq!(whole, received(wire, piece).map(|(message, _)| message));
    assert_eq!(whole, received(wire, 1).map(|(message, _)| message));
    if let Some(message) = &whole {
        assert_eq!(Some(message), by_the_book(wire).as_ref());
    }
}

/// A message that was stuffed comes out as it went in, but for line ends where the server owes CRLF; LIST's size is what
/// arrives; nothing after its terminator is taken for it; TOP is a beginning of it.
pub fn stuffing(data: &[u8]) {
    let mut choices = Choices(data);
    let (piece, lines) = (choices.below(33), choices.octet());
    let message = choices.rest();
    let stuffed = |ends, octets: &[u8], piece: usize| {
        let (mut stuffer, mut wire) = (Stuffer::with(ends), Vec::new());
        octets.chunks(piece.max(1)).for_each(|chunk| stuffer.push(chunk, &mut wire));
        stuffer.finish(&mut wire);
        wire
    };
    let wire = stuffed(LineEnds::Crlf, message, usize::MAX);
    assert_eq!(wire, stuffed(LineEnds::Crlf, message, piece));
    let (arrived, rest) = received(&[&wire[..], b"+OK 1 forged\r\n.\r\n"].concat(), 1).unwrap();
    assert_eq!(rest, b"+OK 1 forged\r\n.\r\n".len());
    assert_eq!(arrived, with_crlf(message));
    assert_eq!(arrived.len() as u64, WireSize::of(message, LineEnds::Crlf));

    let mut cutter = TopCutter::new(u64::from(lines), LineEnds::Crlf);
    let top: Vec<u8> = message.chunks(piece.max(1)).flat_map(|chunk| cutter.take(chunk)).copied().collect();
    assert!(message.starts_with(&top));
    let top = stuffed(LineEnds::Crlf, &top, usize::MAX);
    assert!(received(&top, usize::MAX).is_some());

    let _ = stuffed(LineEnds::AsStored, message, piece);
    let _ = WireSize::of(message, LineEnds::AsStored);
}

/// Every line end as CRLF, be it CRLF, LF or CR; and one at the end.
fn with_crlf(message: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut rest = message.iter().peekable();
    while let Some(octet) = rest.next() {
        match octet {
            b'\r' => {
                rest.next_if(|next| **next == b'\n');
                lines.extend_from_slice(b"\r\n");
            }
            b'\n' => lines.extend_from_slice(b"\r\n"),
            octet => lines.push(*octet),
        }
    }
    if !lines.is_empty() && !lines.ends_with(b"\r\n") {
        lines.extend_from_slice(b"\r\n");
    }
    lines
}
