//! The mail that is served: each message has a head of its own before a body that all share.

/// What the lines of a body look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Text {
    /// 76 characters of base64, as attachments have.
    #[default]
    Base64,
    /// Every line begins with a dot, and so with two on the wire: the worst that a sender can do to a decoder.
    Stuffed,
}

/// The octets of a line, its end included.
const LINE: usize = 78;

/// A maildrop of messages that all have the same number of octets.
#[derive(Debug)]
pub struct Mail {
    messages: usize,
    octets: usize,
    body: Vec<u8>,
    head: usize,
}

impl Mail {
    /// So many messages of so many octets each, as LIST counts them: unstuffed, the terminator not among them.
    ///
    /// # Errors
    ///
    /// If a message has no room for its head.
    pub fn new(messages: usize, octets: usize, text: Text) -> crate::Result<Self> {
        let head = head(1).len();
        let room =
            octets.checked_sub(head).filter(|room| *room != 1).ok_or("a message needs some 300 octets")?;
        Ok(Self { messages, octets, body: body(room, text), head })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// The octets of each.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.octets
    }

    /// The head of a message on the wire, and the body that follows it with the terminator.
    #[must_use]
    pub fn wire(&self, number: usize) -> (String, &[u8]) {
        let head = head(number);
        debug_assert_eq!(head.len(), self.head);
        (head, &self.body)
    }

    /// The unique-id of a message.
    #[must_use]
    pub fn unique_id(number: usize) -> String {
        format!("{number:010}.5f3e8a1c0b7d")
    }
}

fn head(number: usize) -> String {
    format!(
        "Received: from mx.example.org (mx.example.org [192.0.2.1]) by pop.example.org; Fri, 20 Nov 2026 08:00:00 +0000\r\n\
         From: Alice <alice@example.org>\r\n\
         To: Bob <bob@example.org>\r\n\
         Date: Fri, 20 Nov 2026 08:00:00 +0000\r\n\
         Message-ID: <{number:010}@example.org>\r\n\
         Subject: message {number:010}\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=us-ascii\r\n\
         \r\n"
    )
}

/// A body of exactly so many octets before stuffing, stuffed, with the terminator.
fn body(octets: usize, text: Text) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut body = Vec::with_capacity(octets + octets / LINE + 8);
    // Any sequence that does not repeat soon will do.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut left = octets;
    while left > 0 {
        // A last line of one octet could not be ended.
        let line = if left == LINE + 1 { LINE - 1 } else { left.min(LINE) };
        for column in 0..line - 2 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let letter = ALPHABET[usize::from((state >> 58) as u8)];
            match text {
                Text::Stuffed if column == 0 => body.extend_from_slice(b".."),
                _ => body.push(letter),
            }
        }
        body.extend_from_slice(b"\r\n");
        left -= line;
    }
    body.extend_from_slice(b".\r\n");
    body
}
