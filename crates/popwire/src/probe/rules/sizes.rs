//! The sizes that LIST and STAT state, beside the octets that came.

use popwire_proto::MessageNumber;

use super::message::changes_messages;
use super::{Rule, rules};
use crate::probe::evidence::{Sample, Seen};
use crate::probe::steps::{Item, LINES};

pub(super) const RULES: &[Rule] = rules! {
    "Q-083" Sizes: other => "takes sizes for hints: the octets received are the truth";
    "Q-084" Sizes: rounded => "takes sizes for hints: the octets received are the truth";
    "Q-085" Sizes: line_feeds => "takes sizes for hints: they count a line end as one octet here";
    "Q-087" Sizes: too_large => "keeps what came, and takes the size for a hint";
    "Q-088" Sizes: absurd => "allocates nothing by a size, and takes it for a hint";
    "Q-150" Sizes: constant => "takes sizes for hints: the octets received are the truth";
};

/// How the listed sizes stand to the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::probe) enum Verdict {
    /// No message came whole and unchanged.
    Unknown,
    /// Right.
    Right,
    /// All are the same number, and it is not theirs.
    Constant,
    /// All are multiples of 1024.
    Rounded,
    /// Line ends count as one octet.
    LineFeeds,
    /// Beyond 1 GiB, for messages that are not.
    Absurd,
    /// Less than half of it came, or less came of each message alike.
    TooLarge,
    /// Not right in another way.
    Wrong,
}

/// A message that came whole, and what was said of it.
#[derive(Clone, Copy, Debug)]
struct Weighed {
    number: MessageNumber,
    listed: u64,
    octets: u64,
    lines: u64,
}

impl Weighed {
    fn is_right(&self) -> bool {
        // A message whose last line has no end is given one by RFC 1939 section 3, and few count it.
        self.octets == self.listed || self.octets == self.listed.saturating_add(2)
    }
}

/// The messages that came whole.
fn weighed(seen: &Seen<'_>) -> Vec<Weighed> {
    seen.evidence
        .samples()
        .filter_map(|(item, sample)| {
            let number = match item {
                Item::Whole(number) => number,
                Item::Beginning(number) if is_whole(sample) => number,
                _ => return None,
            };
            let (bare, ends) = sample.line_ends();
            let listed = seen.listed(number)?;
            Some(Weighed { number, listed, octets: sample.total, lines: bare + ends })
        })
        .collect()
}

/// TOP ended before the number of lines was reached, so it was all that there is.
pub(super) fn is_whole(sample: &Sample) -> bool {
    let asked = usize::try_from(LINES).unwrap_or(usize::MAX);
    sample.is_kept() && sample.body_lines().unwrap_or(0) < asked
}

pub(in crate::probe) fn verdict(seen: &Seen<'_>) -> Verdict {
    let weighed = weighed(seen);
    let Some(first) = weighed.first().filter(|_| !changes_messages(seen)) else { return Verdict::Unknown };
    let wrong: Vec<_> = weighed.iter().filter(|message| !message.is_right()).collect();
    if wrong.is_empty() {
        return Verdict::Right;
    }
    let listed: Vec<u64> =
        seen.list.iter().flat_map(|list| list.iter()).filter_map(|scan| scan.octets).collect();
    let all = |what: &dyn Fn(&Weighed) -> bool| wrong.iter().all(|message| what(message));
    if wrong.iter().any(|message| message.listed >= 1 << 30 && message.octets < 1 << 29) {
        Verdict::Absurd
    } else if listed.len() > 1 && listed.iter().all(|octets| *octets == first.listed) {
        Verdict::Constant
    } else if listed.iter().all(|octets| octets % 1024 == 0) {
        Verdict::Rounded
    } else if all(&|message| message.octets.checked_sub(message.lines) == Some(message.listed)) {
        Verdict::LineFeeds
    } else if all(&|message| message.listed > message.octets.saturating_mul(2)) {
        Verdict::TooLarge
    } else {
        Verdict::Wrong
    }
}

fn told(seen: &Seen<'_>, verdict_is: Verdict) -> Option<String> {
    if verdict(seen) != verdict_is {
        return None;
    }
    let message = weighed(seen).into_iter().find(|message| !message.is_right())?;
    let Weighed { number, listed, octets, .. } = message;
    Some(format!("message {number} is listed with {listed} octets and has {octets}"))
}

fn constant(seen: &Seen<'_>) -> Option<String> {
    told(seen, Verdict::Constant)
}

fn rounded(seen: &Seen<'_>) -> Option<String> {
    told(seen, Verdict::Rounded)
}

fn line_feeds(seen: &Seen<'_>) -> Option<String> {
    told(seen, Verdict::LineFeeds)
}

fn absurd(seen: &Seen<'_>) -> Option<String> {
    told(seen, Verdict::Absurd)
}

fn too_large(seen: &Seen<'_>) -> Option<String> {
    told(seen, Verdict::TooLarge)
}

fn other(seen: &Seen<'_>) -> Option<String> {
    if let Some(told) = told(seen, Verdict::Wrong) {
        return Some(told);
    }
    let stat = seen.stat.as_ref()?;
    let list = seen.list.as_ref()?;
    let sum = list.iter().try_fold(0u64, |sum, scan| sum.checked_add(scan.octets?))?;
    let said = stat.octets.filter(|said| *said != sum)?;
    let comparable = stat.messages == list.len() as u64 && list.skipped() == 0;
    let explained = !matches!(verdict(seen), Verdict::Right | Verdict::Unknown);
    (comparable && !explained)
        .then(|| format!("STAT says {said} octets, the sizes of LIST are {sum} together"))
}
