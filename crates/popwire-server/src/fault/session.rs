//! The faults of one connection, above TLS: what is to be sent becomes steps.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Effect, Fault, Place, Point};
use crate::answer::Then;

/// What ends an answer of several lines.
const TERMINATOR: &[u8] = b".\r\n";

/// What the wire does, one after the other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Sends these octets and flushes them.
    Send {
        octets: Vec<u8>,
        /// In pieces, if so.
        pace: Option<Pace>,
    },
    Pause(Duration),
    /// Ends the conversation; the last step there is.
    End(Then),
}

/// Pieces of so many octets, with a pause after each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) octets: usize,
    pub(crate) pause: Duration,
}

/// What goes wrong in one connection.
#[derive(Debug)]
pub(crate) struct Sabotage {
    faults: Vec<Fault>,
    /// How often each keyword has come; `*` counts all but the greeting.
    occurrences: BTreeMap<String, u64>,
    /// Octets sent above TLS.
    sent: u64,
    /// Octets of the session after which something happens.
    in_session: Vec<(u64, Effect)>,
    /// In force to the end of the session.
    session_pace: Option<Pace>,
    answer: Answer,
    steps: Vec<Step>,
    /// Whether the conversation was ended.
    ended: bool,
}

/// The answer that is being sent.
#[derive(Debug, Default)]
struct Answer {
    /// What is still to happen in it.
    faults: Vec<(Point, Effect)>,
    /// Whether its further lines have sizes.
    is_listing: bool,
    /// Octets sent.
    sent: u64,
    /// The length of its status line, once that has been sent.
    status: Option<u64>,
    /// The last octet sent.
    last: Option<u8>,
    /// What may be the terminator, kept back until it is known whether it is.
    held: Vec<u8>,
    pace: Option<Pace>,
}

impl Sabotage {
    pub(crate) fn new(faults: Vec<Fault>) -> Self {
        let in_session = faults.iter().filter_map(|fault| match fault.place {
            Place::Session(octets) => Some((octets, fault.effect)),
            _ => None,
        });
        Self {
            in_session: in_session.collect(),
            faults,
            occurrences: BTreeMap::new(),
            sent: 0,
            session_pace: None,
            answer: Answer::default(),
            steps: Vec::new(),
            ended: false,
        }
    }

    /// What happens below TLS: in the handshake, and after it.
    pub(crate) fn below_tls(&self) -> [Vec<(u64, Effect)>; 2] {
        let faults = self.faults.iter();
        let handshake = faults.clone().filter_map(|fault| match fault.place {
            Place::Handshake(octets) => Some((octets, fault.effect)),
            _ => None,
        });
        let records = faults.filter_map(|fault| match fault.place {
            Place::Tls(octets) => Some((octets, fault.effect)),
            _ => None,
        });
        [handshake.collect(), records.collect()]
    }

    /// A command has come, and is not carried out yet. Says what to do first, and whether to refuse the command.
    pub(crate) fn begin(&mut self, keyword: &str) -> (Vec<Step>, bool) {
        let counts = ["*", keyword].map(|counted| {
            let count = self.occurrences.entry(counted.to_owned()).or_default();
            *count += u64::from(keyword != "GREETING" || counted != "*");
            *count
        });
        let [of_all, of_keyword] = counts;
        let mut faults = Vec::new();
        for fault in &self.faults {
            let Place::Answer { keyword: wanted, nth, point } = &fault.place else { continue };
            let count = match wanted.as_str() {
                "*" if keyword != "GREETING" => of_all,
                wanted if wanted == keyword => of_keyword,
                _ => continue,
            };
            if nth.is_none_or(|nth| nth == count) {
                faults.push((*point, fault.effect));
            }
        }
        self.answer = Answer { faults, is_listing: keyword == "LIST", ..Answer::default() };
        let mut refuse = false;
        for effect in self.take(Point::Before) {
            match effect {
                Effect::Refuse => refuse = true,
                effect => self.happen(effect, false),
            }
        }
        (std::mem::take(&mut self.steps), refuse)
    }

    /// Some octets of the answer are to be sent.
    pub(crate) fn shape(&mut self, octets: &[u8]) -> Vec<Step> {
        let told = self.lie(octets);
        let mut octets = std::mem::take(&mut self.answer.held);
        octets.extend_from_slice(&told);
        let held = self.to_hold(&octets);
        self.answer.held = octets.split_off(octets.len() - held);
        self.pass(&octets);
        std::mem::take(&mut self.steps)
    }

    /// The answer is complete.
    pub(crate) fn finish(&mut self) -> Vec<Step> {
        let mut last = std::mem::take(&mut self.answer.held);
        if last == TERMINATOR {
            for effect in self.take(Point::End) {
                match effect {
                    Effect::NoEnd => last.clear(),
                    Effect::EndTwice => last.extend_from_slice(TERMINATOR),
                    effect => self.happen(effect, false),
                }
            }
        }
        self.pass(&last);
        self.fire();
        for effect in self.take(Point::After) {
            self.happen(effect, false);
        }
        self.answer = Answer::default();
        std::mem::take(&mut self.steps)
    }

    /// How many octets at the end may be the terminator, or a part of it. Nothing is kept back without need: a client
    /// may wait for it.
    fn to_hold(&self, octets: &[u8]) -> usize {
        if !self.answer.faults.iter().any(|(point, _)| *point == Point::End) {
            return 0;
        }
        (1..=TERMINATOR.len())
            .rev()
            .find(|length| {
                let Some(before) = octets.strip_suffix(TERMINATOR.get(..*length).unwrap_or_default()) else {
                    return false;
                };
                before.last().copied().or(self.answer.last) == Some(b'\n')
            })
            .unwrap_or(0)
    }

    /// Sends octets, and lets happen what is due on the way.
    fn pass(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            self.fire();
            if self.ended {
                return;
            }
            let (now, later) = octets.split_at_checked(self.until_next(octets)).unwrap_or((octets, &[]));
            self.send(now);
            self.sent += now.len() as u64;
            self.answer.sent += now.len() as u64;
            self.answer.last = now.last().copied();
            if self.answer.status.is_none() && now.ends_with(b"\n") {
                self.answer.status = Some(self.answer.sent);
            }
            octets = later;
        }
    }

    /// How many of these octets can be sent before there is something to look at again; at least 1.
    fn until_next(&self, octets: &[u8]) -> usize {
        let line = octets.iter().position(|octet| *octet == b'\n').map_or(octets.len(), |at| at + 1);
        let mut most = if self.answer.status.is_none() { line } else { octets.len() };
        let session = self.in_session.iter().map(|(at, _)| at.saturating_sub(self.sent));
        let body = self.answer.faults.iter().filter_map(|(point, _)| match (point, self.answer.status) {
            (Point::Body(octets), Some(status)) => {
                Some(octets.saturating_add(status).saturating_sub(self.answer.sent))
            }
            _ => None,
        });
        for distance in session.chain(body).filter(|distance| *distance != 0) {
            most = most.min(usize::try_from(distance).unwrap_or(usize::MAX));
        }
        most
    }

    /// Lets happen what is due here.
    fn fire(&mut self) {
        let sent = self.sent;
        let mut due = Vec::new();
        self.in_session.retain(|(at, effect)| {
            let here = *at == sent;
            due.extend(here.then_some(*effect));
            !here
        });
        for effect in due {
            self.happen(effect, true);
        }
        let here = match self.answer.status {
            None if self.answer.sent == 0 => Point::Status,
            None => return,
            Some(status) => Point::Body(self.answer.sent - status),
        };
        for effect in self.take(here) {
            self.happen(effect, false);
        }
    }

    /// The effects at this point of the answer, which then are no longer to come.
    fn take(&mut self, point: Point) -> Vec<Effect> {
        let mut taken = Vec::new();
        self.answer.faults.retain(|(at, effect)| {
            // A wrong size is for the whole answer.
            let here = *at == point && !matches!(effect, Effect::Size(_));
            taken.extend(here.then_some(*effect));
            !here
        });
        taken
    }

    fn happen(&mut self, effect: Effect, in_session: bool) {
        if self.ended {
            return;
        }
        let mut pace = |octets: u32, pause| {
            let pace = Some(Pace { octets: usize::try_from(octets).unwrap_or(usize::MAX), pause });
            if in_session {
                self.session_pace = pace;
            } else {
                self.answer.pace = pace;
            }
        };
        let end = match effect {
            Effect::Bytewise => return pace(1, Duration::ZERO),
            Effect::Drip { octets, every } => return pace(octets, every),
            // Each step is flushed: the next octets are not to join the last ones.
            Effect::Split => return self.steps.push(Step::Send { octets: Vec::new(), pace: None }),
            Effect::Stall(time) => return self.steps.push(Step::Pause(time)),
            Effect::Garbage(octets) => return self.send(&garbage(octets)),
            Effect::Hang => Then::Hang,
            Effect::Reset => Then::Reset,
            Effect::HalfClose => Then::HalfClose,
            Effect::Close => Then::Close,
            Effect::Cut => Then::Cut,
            // They have their own places.
            Effect::Refuse | Effect::NoEnd | Effect::EndTwice | Effect::Size(_) => return,
            Effect::Alert(_) | Effect::Corrupt => return,
        };
        self.steps.push(Step::End(end));
        self.ended = true;
    }

    fn send(&mut self, more: &[u8]) {
        let now = self.answer.pace.or(self.session_pace);
        match self.steps.last_mut() {
            Some(Step::Send { octets, pace }) if *pace == now && !octets.is_empty() => {
                octets.extend_from_slice(more);
            }
            _ => self.steps.push(Step::Send { octets: more.to_vec(), pace: now }),
        }
    }

    /// The octets with wrong sizes, if they are to be wrong. Whole lines come here where there are sizes.
    fn lie(&self, octets: &[u8]) -> Vec<u8> {
        let by = self.answer.faults.iter().filter_map(|(_, effect)| match effect {
            Effect::Size(by) => Some(*by),
            _ => None,
        });
        let Some(by) = by.reduce(i64::saturating_add) else { return octets.to_vec() };
        let mut in_status = self.answer.status.is_none();
        let mut told = Vec::with_capacity(octets.len());
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            let has_size = (in_status && line.starts_with(b"+OK")) || (!in_status && self.answer.is_listing);
            told.extend(if has_size { enlarged(line, by) } else { line.to_vec() });
            in_status = false;
        }
        told
    }
}

/// The line with its last number made larger.
fn enlarged(line: &[u8], by: i64) -> Vec<u8> {
    let Some(last) = line.iter().rposition(u8::is_ascii_digit) else { return line.to_vec() };
    let (number, rest) = line.split_at_checked(last + 1).unwrap_or((line, &[]));
    let start = number.iter().rposition(|octet| !octet.is_ascii_digit()).map_or(0, |at| at + 1);
    let (before, digits) = number.split_at_checked(start).unwrap_or((number, &[]));
    let size = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u64>().ok());
    let Some(size) = size else { return line.to_vec() };
    [before, size.saturating_add_signed(by).to_string().as_bytes(), rest].concat()
}

/// Octets that are no text, no line end and no dot.
pub(super) fn garbage(octets: u32) -> Vec<u8> {
    // 37 has no factor in common with 128: each value comes up.
    (0..octets).map(|at| 0x80 | (at.wrapping_mul(37) & 0x7f) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FaultPlan;

    const LISTING: &[u8] = b"+OK 2 messages (50 octets)\r\n1 22\r\n2 28\r\n.\r\n";

    fn send(octets: &[u8]) -> Step {
        Step::Send { octets: octets.to_vec(), pace: None }
    }

    /// What becomes of an answer that is given in pieces of so many octets; pieces that are sent directly after one
    /// another are put together where nothing separates them.
    fn answered(plan: &str, keyword: &str, answer: &[u8], pieces: usize) -> Vec<Step> {
        let plan: FaultPlan = plan.parse().unwrap();
        let mut sabotage = plan.sabotage(1).unwrap();
        let (mut steps, _) = sabotage.begin(keyword);
        for piece in answer.chunks(pieces) {
            steps.extend(sabotage.shape(piece));
        }
        steps.extend(sabotage.finish());
        let mut joined: Vec<Step> = Vec::new();
        for step in steps {
            match (joined.last_mut(), step) {
                (Some(Step::Send { octets, pace }), Step::Send { octets: more, pace: same })
                    if *pace == same && !octets.is_empty() && !more.is_empty() =>
                {
                    octets.extend(more);
                }
                (_, step) => joined.push(step),
            }
        }
        joined.retain(|step| *step != send(b""));
        joined
    }

    #[test]
    fn octets_are_the_same_however_they_come() {
        for plan in [
            "LIST@7:stall=5ms; LIST@end:end-twice",
            "LIST:no-end",
            "session@3:reset",
            "LIST@end:drip=1/5ms",
            "LIST@15:garbage=4",
            "LIST@after:close",
        ] {
            let whole = answered(plan, "LIST", LISTING, LISTING.len());
            for pieces in 1..LISTING.len() {
                assert_eq!(answered(plan, "LIST", LISTING, pieces), whole, "{plan} in pieces of {pieces}");
            }
        }
    }

    #[test]
    fn faults_happen_where_they_should() {
        let all = |plan| answered(plan, "LIST", LISTING, LISTING.len());
        let pause = || Step::Pause(Duration::from_millis(5));
        assert_eq!(all("LIST:stall=5ms"), [pause(), send(LISTING)]);
        assert_eq!(all("LIST@0:stall=5ms"), [send(&LISTING[..28]), pause(), send(&LISTING[28..])]);
        assert_eq!(all("LIST@6:stall=5ms"), [send(&LISTING[..34]), pause(), send(&LISTING[34..])]);
        assert_eq!(all("LIST@end:stall=5ms"), [send(&LISTING[..40]), pause(), send(b".\r\n")]);
        assert_eq!(all("LIST@after:stall=5ms"), [send(LISTING), pause()]);
        // Exactly at the end, and beyond it.
        assert_eq!(all("LIST@15:stall=5ms"), [send(LISTING), pause()]);
        assert_eq!(all("LIST@16:stall=5ms"), [send(LISTING)]);
        assert_eq!(all("LIST#2:stall=5ms"), [send(LISTING)]);
        assert_eq!(all("UIDL:stall=5ms; *#1@before:stall=5ms"), [pause(), send(LISTING)]);
        assert_eq!(all("session@1:cut; session@2:reset"), [send(b"+"), Step::End(Then::Cut)]);
        assert_eq!(all("LIST:size=+8"), [send(b"+OK 2 messages (58 octets)\r\n1 30\r\n2 36\r\n.\r\n")]);
        assert_eq!(all("LIST:size=-25"), [send(b"+OK 2 messages (25 octets)\r\n1 0\r\n2 3\r\n.\r\n")]);
    }

    #[test]
    fn one_line_has_no_terminator() {
        let line = b"+OK it is over.\r\n";
        for plan in ["*:no-end", "*:end-twice", "*@end:reset", "*@0:split", "*@1:reset"] {
            assert_eq!(answered(plan, "NOOP", line, 1), [send(line)], "{plan}");
        }
    }
}
