//! Planned faults: where in a session the network or the server fails, and how.
//!
//! A [`Script`](crate::Builder::script) says what the server answers. A fault leaves the answer to the server and spoils
//! its way to the client: it comes in pieces, late, not whole, or not at all. The faults of one connection live in its
//! wire: those above TLS in [`session`], those below in [`below`].

mod below;
mod seed;
mod session;
mod text;

use std::time::Duration;

pub(crate) use self::below::Raw;
pub(crate) use self::session::{Pace, Sabotage, Step};
pub use self::text::FaultError;
use crate::Builder;

/// One fault: where, and what.
///
/// It has a text of one line, `place:effect`, by which it can be named in a log, in a scenario and on a command line:
///
/// | place | meaning |
/// |---|---|
/// | `RETR#3` | the third answer to RETR in a session; without `#3`, each answer to it |
/// | `*#5` | the answer to the fifth command of a session, whatever it is |
/// | `GREETING` | the greeting |
/// | `RETR#3@before` | before the command is carried out |
/// | `RETR#3@status` | before its status line; usually left out, see [`Point`] |
/// | `RETR#3@1000` | after 1000 octets of what follows its status line |
/// | `RETR#3@end` | before its terminator |
/// | `RETR#3@after` | after the whole answer |
/// | `session@1000` | after the first 1000 octets of the session, greeting included |
/// | `handshake@100` | after 100 octets of the server's in the TLS handshake; `@0` may be left out |
/// | `tls@100` | after 100 octets of the server's, as they are on the wire after the handshake |
/// | `conn#2/` before any of these | only in the second connection of the server's life |
///
/// | effect | meaning |
/// |---|---|
/// | `split` | what follows is in another segment and another TLS record |
/// | `bytewise` | what follows comes octet by octet |
/// | `stall=2s` | a pause; `150ms` are milliseconds |
/// | `drip=10/50ms` | what follows comes in pieces of ten octets, with 50 ms after each |
/// | `hang` | nothing more is said, and the connection stays |
/// | `reset` | TCP RST; the client may lose what was sent before |
/// | `half-close` | close_notify and FIN, while the client's octets are still read |
/// | `close` | close_notify and FIN, as servers close |
/// | `cut` | FIN without close_notify |
/// | `garbage=20` | twenty octets between 128 and 255; in a handshake, in place of the rest of it |
/// | `refuse` | `-ERR`, and the command is not carried out |
/// | `no-end` | the terminator is left out |
/// | `end-twice` | the terminator is sent twice |
/// | `size=+10`, `size=-10` | sizes in the answers to STAT, LIST, RETR and TOP are wrong by so much |
/// | `alert=40` | a fatal alert in place of the rest of the handshake (RFC 8446 section 6) |
/// | `corrupt` | all bits of the next octet below TLS are wrong |
///
/// ```
/// use popwire_server::Fault;
///
/// let fault: Fault = "RETR#3@1000:reset".parse()?;
/// assert_eq!(fault.to_string(), "RETR#3@1000:reset");
/// # Ok::<(), popwire_server::FaultError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which connection of the server's life, counted from 1; `None`: each.
    connection: Option<u64>,
    place: Place,
    effect: Effect,
}

/// Where a [`Fault`] happens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// After so many octets that the server has sent in the session, counted above TLS.
    Session(u64),
    /// At answers to commands.
    Answer {
        /// The command's keyword; `*` for any command, `GREETING` for the greeting, which no `*` counts.
        keyword: String,
        /// Which occurrence of the keyword in the session, counted from 1; `None`: each.
        nth: Option<u64>,
        /// Where in the answer.
        point: Point,
    },
    /// After so many octets that the server has sent in the TLS handshake.
    Handshake(u64),
    /// After so many octets that the server has sent since the TLS handshake, counted below TLS.
    Tls(u64),
}

/// Where in an answer. A point that an answer does not have, or does not reach, is passed over. The challenges of AUTH and
/// its verdict are one answer; the first of them is its status line.
///
/// In the text of a fault it may be left out where it is the one that the effect asks for: `before` for `refuse`, `end`
/// for `no-end` and `end-twice`, otherwise `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Point {
    /// The command has come and is not carried out yet.
    Before,
    /// The command has been carried out, and its status line is to be sent.
    Status,
    /// So many octets after the status line, as they are on the wire.
    Body(u64),
    /// Before the terminator of an answer of several lines.
    End,
    /// After the whole answer.
    After,
}

/// What happens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// What follows is in another segment, and in another TLS record.
    Split,
    /// What follows comes octet by octet, up to the end of the answer, or of the session or handshake if that is where
    /// the place is counted.
    Bytewise,
    /// Nothing is sent for so long.
    Stall(Duration),
    /// What follows comes in pieces of so many octets with a pause after each, for as long as with
    /// [`Effect::Bytewise`].
    Drip {
        /// The size of a piece; 0 counts as 1.
        octets: u32,
        /// The pause.
        every: Duration,
    },
    /// Nothing more is said until the client goes away or the idle timer runs out.
    Hang,
    /// TCP RST.
    Reset,
    /// The server's side is closed, with close_notify under TLS; what the client sends is read and ignored, until it
    /// goes away or the idle timer runs out.
    HalfClose,
    /// The connection is closed properly, with close_notify under TLS.
    Close,
    /// The connection is closed without close_notify.
    Cut,
    /// So many octets from 128 to 255 are sent, a MiB at most. In a handshake they are the last.
    Garbage(u32),
    /// The command is answered `-ERR` and not carried out.
    Refuse,
    /// The terminator is left out.
    NoEnd,
    /// The terminator is sent twice.
    EndTwice,
    /// Sizes in the answer are wrong by so many octets; they stay between 0 and 2^64.
    Size(i64),
    /// A fatal alert with this description, then the end of the connection.
    Alert(u8),
    /// All bits of an octet below TLS are turned over.
    Corrupt,
}

/// Most octets of garbage at a time: they are made in memory.
const MOST_GARBAGE: u32 = 1 << 20;

/// A year: longer pauses are cut to it, so that no clock overflows.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

impl Fault {
    /// A fault in each connection. Pauses are rounded down to milliseconds.
    ///
    /// # Errors
    ///
    /// [`FaultError`], if the effect cannot happen at that place: an alert in an answer, a missing terminator in a
    /// handshake.
    pub fn new(place: Place, effect: Effect) -> Result<Self, FaultError> {
        let place = match place {
            Place::Answer { keyword, nth, point } => {
                Place::Answer { keyword: keyword.to_ascii_uppercase(), nth, point }
            }
            place => place,
        };
        let whole = |time: Duration| {
            let time = time.min(LONGEST);
            time.saturating_sub(Duration::from_nanos(u64::from(time.subsec_nanos()) % 1_000_000))
        };
        let effect = match effect {
            Effect::Stall(time) => Effect::Stall(whole(time)),
            Effect::Drip { octets, every } => Effect::Drip { octets: octets.max(1), every: whole(every) },
            effect => effect,
        };
        let fault = Self { connection: None, place, effect };
        match fault.contradiction() {
            None => Ok(fault),
            Some(why) => Err(FaultError::new(fault.to_string(), why)),
        }
    }

    /// Only in the n-th connection of the server's life, counted from 1.
    #[must_use]
    pub fn in_connection(mut self, n: u64) -> Self {
        self.connection = Some(n);
        self
    }

    /// Which connection of the server's life, if only one.
    #[must_use]
    pub fn connection(&self) -> Option<u64> {
        self.connection
    }

    /// Where.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Why this cannot happen, if it cannot.
    fn contradiction(&self) -> Option<&'static str> {
        use Effect::{
            Alert, Bytewise, Close, Corrupt, Cut, Drip, EndTwice, Garbage, HalfClose, Hang, NoEnd, Refuse,
            Reset, Size, Split, Stall,
        };
        match (&self.place, self.effect) {
            (Place::Answer { keyword, .. }, _) if !text::is_keyword(keyword) => {
                Some("a keyword is one word of letters and digits")
            }
            (Place::Answer { nth: Some(0), .. }, _) => Some("occurrences are counted from 1"),
            (_, Garbage(octets)) if octets > MOST_GARBAGE => Some("garbage is 1048576 octets at most"),
            (_, Split | Bytewise | Stall(_) | Drip { .. } | Hang | Reset | Cut) => None,
            (Place::Answer { .. } | Place::Session(_), Close | HalfClose | Garbage(_)) => None,
            (Place::Answer { keyword, point: Point::Before, .. }, Refuse) if keyword != "GREETING" => None,
            (Place::Answer { point: Point::End, .. }, NoEnd | EndTwice) => None,
            (Place::Answer { keyword, point: Point::Status, .. }, Size(_))
                if ["STAT", "LIST", "RETR", "TOP"].contains(&keyword.as_str()) =>
            {
                None
            }
            (Place::Handshake(_), Garbage(_) | Alert(_) | Corrupt) | (Place::Tls(_), Corrupt) => None,
            (_, Refuse) => Some("a command is refused before it is carried out, or not at all"),
            (_, NoEnd | EndTwice) => Some("a terminator stands at the end of an answer"),
            (_, Size(_)) => Some("sizes stand in the answers to STAT, LIST, RETR and TOP"),
            (_, Alert(_)) => Some("a handshake has alerts, other places have not"),
            (_, Corrupt) => Some("octets are corrupted below TLS: in a handshake, or at tls@"),
            (_, Close | HalfClose | Garbage(_)) => {
                Some("below TLS this cannot be; cut and corrupt can, and alert in a handshake")
            }
        }
    }
}

impl Effect {
    /// The point of an answer at which this usually is.
    fn usual_point(self) -> Point {
        match self {
            Self::Refuse => Point::Before,
            Self::NoEnd | Self::EndTwice => Point::End,
            _ => Point::Status,
        }
    }
}

/// The faults of a server, in the order in which they happen where two are at the same place.
///
/// Its text is that of the faults with a semicolon and a blank between them: `RETR#1@10:split; RETR#2:reset`. The text
/// of a plan without faults is empty.
///
/// ```
/// use popwire_server::{FaultPlan, Maildrop, Server};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let plan: FaultPlan = "RETR#1@10:stall=50ms; conn#2/handshake:alert=40".parse()?;
/// let server = Server::builder()
///     .user("alice", "secret", Maildrop::memory(["Subject: hi\r\n\r\nhello\r\n"]))
///     .fault_plan(plan)
///     .start()?;
/// # drop(server);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultPlan {
    faults: Vec<Fault>,
}

impl FaultPlan {
    /// The faults, in order.
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter()
    }

    /// What happens in the n-th connection, counted from 1; `None` if nothing does.
    pub(crate) fn sabotage(&self, connection: u64) -> Option<Box<Sabotage>> {
        let here = |fault: &&Fault| fault.connection.is_none_or(|only| only == connection);
        let faults: Vec<Fault> = self.faults.iter().filter(here).cloned().collect();
        (!faults.is_empty()).then(|| Box::new(Sabotage::new(faults)))
    }
}

impl FromIterator<Fault> for FaultPlan {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Self {
        Self { faults: faults.into_iter().collect() }
    }
}

impl Extend<Fault> for FaultPlan {
    fn extend<I: IntoIterator<Item = Fault>>(&mut self, faults: I) {
        self.faults.extend(faults);
    }
}

/// Faults.
impl Builder {
    /// Adds a fault. What the server records is what it would have said without faults.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.options.faults.faults.push(fault);
        self
    }

    /// Adds the faults of a plan to those that are there.
    pub fn fault_plan(mut self, plan: FaultPlan) -> Self {
        self.options.faults.extend(plan.faults);
        self
    }
}
