//! Every bound of the client machine, each with the reason for its number.
//!
//! A server is not trusted with the client's memory: whatever it sends is counted against one of these.

/// What a session may cost. [`Limits::default`] suits any honest server.
///
/// ```
/// let mut limits = popwire_proto::Limits::default();
/// limits.response_line = 8192;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Longest command line that is sent, in octets with its CRLF. Default 255: what RFC 2449 section 4 lets a client
    /// send. A longer one is refused before it reaches the wire. Lines of a SASL exchange do not count (RFC 5034
    /// section 4).
    pub command_line: usize,
    /// Longest status line and longest line of a listing that is accepted, in octets with its line end. Default 2048:
    /// RFC 1939 section 3 says 512, servers exceed it, and none is known to exceed four times that. Lines of a message
    /// have no limit.
    pub response_line: usize,
    /// Longest challenge of a SASL exchange, in octets with its line end. Default 64 KiB: RFC 5034 section 4 sets no
    /// limit, and no mechanism is known to need a quarter of this.
    pub challenge_line: usize,
    /// Largest multi-line answer that is collected in memory (LIST, UIDL, CAPA, LANG, raw), in octets. Default 64 MiB:
    /// a million messages with unique-ids of average length fit in it.
    pub listing_octets: usize,
    /// Most entries that a LIST or UIDL answer may have. Default 1,000,000, ten times the largest maildrop that people
    /// report.
    pub listing_entries: usize,
    /// Most lines that a CAPA answer may have. Default 256: real servers send some twenty.
    pub capability_lines: usize,
    /// Largest message that is streamed, in octets. Default `u64::MAX`: a stream costs no memory, so there is no
    /// ceiling unless the caller wants one.
    pub message_octets: u64,
    /// Largest message that is collected in memory, in octets. Default 256 MiB: ten times what large providers accept
    /// by SMTP. Larger ones can be streamed.
    pub message_in_memory: usize,
    /// Most octets that are read and thrown away to bring a session back into step after a caller gave up on an
    /// answer, in octets. Default 1 MiB: more is slower than a new connection.
    pub discard: u64,
    /// Largest receive buffer, in octets. Default 256 KiB: it starts at 16 KiB and grows only while reads fill it, and
    /// beyond this size reads are not cheaper any more.
    pub receive_buffer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command_line: 255,
            response_line: 2048,
            challenge_line: 64 << 10,
            listing_octets: 64 << 20,
            listing_entries: 1_000_000,
            capability_lines: 256,
            message_octets: u64::MAX,
            message_in_memory: 256 << 20,
            discard: 1 << 20,
            receive_buffer: 256 << 10,
        }
    }
}
