//! TOP and RETR: what comes of messages, and how it ends.

use popwire_proto::IrregularEnd;

use super::sizes::is_whole;
use super::{Rule, count, quote, rules, says};
use crate::probe::evidence::{Sample, Seen, is_blank};
use crate::probe::steps::{Item, LINES};

pub(super) const RULES: &[Rule] = rules! {
    "Q-111" Top: no_top => "lists without headers; a message comes by RETR";
    "Q-142" Top: some_top => "leaves that message's header out, and the message for RETR";
    "Q-107" Top: few_lines => "never takes TOP for a whole message";
    "Q-108" Top: second_ok => "leaves the line where the server put it, before the header";
    "Q-105" Top: other_header => "never joins the header of TOP with the body of RETR";
    "Q-090" Messages: dot_after_text => "takes it for the end after a silence, and reports it";
    "Q-091" Messages: dot_without_lf => "takes it for the end after a silence, and reports it";
    "Q-092" Messages: bare_lf => "goes by the first line of a message; tells an end by LF alone";
    "Q-093" Messages: bare_lf_within => "keeps it as data";
    "Q-094" Messages: more_than_asked => "believes none of what follows, and ends the session";
    "Q-097" Messages: extra_blank => "keeps the message as it came";
    "Q-098" Messages: no_blank => "keeps the message as it came";
    "Q-112" Messages: retr_refused => "leaves that message and goes on with the rest";
    "Q-113" Messages: folder_data => "fetches it like mail: it is the server's own, do not delete it";
    "Q-114" Messages hint: added_header => "keeps it as it came";
    "Q-115" Messages: other_text_size => "reads no size in the answer to RETR";
    "Q-116" Messages: slow_start => "waits 300 s for the first octet";
    "Q-141" Messages: quota => "leaves on the server what it cannot get";
};

/// TOP as it was answered: with a message, or not.
fn tops<'a>(seen: &Seen<'a>) -> (Vec<&'a Sample>, Vec<(Item, String)>) {
    let is_top = |item: &Item| matches!(item, Item::Header(_) | Item::Beginning(_));
    let samples =
        seen.evidence.samples().filter(|(item, _)| is_top(item)).map(|(_, sample)| sample).collect();
    let refusals = seen.evidence.events.iter().filter(|event| is_top(&event.item)).filter_map(|event| {
        let reply = event.outcome.as_ref().err().filter(|error| error.is_refused())?.reply()?;
        Some((event.item, quote(reply.line().as_bytes())))
    });
    (samples, refusals.collect())
}

fn no_top(seen: &Seen<'_>) -> Option<String> {
    let (samples, refusals) = tops(seen);
    let (_, words) = refusals.first().filter(|_| samples.is_empty())?;
    Some(format!("TOP is refused: {words}"))
}

fn some_top(seen: &Seen<'_>) -> Option<String> {
    let (samples, refusals) = tops(seen);
    let (item, words) = refusals.first().filter(|_| !samples.is_empty())?;
    let (Item::Header(number) | Item::Beginning(number)) = item else { return None };
    Some(format!("TOP {number} is refused, others are not: {words}"))
}

/// TOP sends fewer lines than were asked for: of every message the same few, and less than its size.
fn few_lines(seen: &Seen<'_>) -> Option<String> {
    /// More would be a message's own length.
    const FEW: usize = 15;
    let mut lines = None;
    let mut messages = 0;
    for (item, sample) in seen.evidence.samples() {
        let Item::Beginning(number) = item else { continue };
        let body = sample.body_lines().filter(|body| *body <= FEW && is_whole(sample))?;
        let whole = match seen.evidence.samples().find(|(item, _)| *item == Item::Whole(number)) {
            Some((_, whole)) => whole.total,
            None => seen.listed(number)?,
        };
        if *lines.get_or_insert(body) != body || whole <= sample.total.saturating_add(2) {
            return None;
        }
        messages += 1;
    }
    let by_retr = seen.evidence.samples().any(|(item, _)| matches!(item, Item::Whole(_)));
    let lines = lines.filter(|_| messages > 1 || by_retr)?;
    Some(format!("TOP with {LINES} lines sends {}", count(lines, "line")))
}

fn second_ok(seen: &Seen<'_>) -> Option<String> {
    let (samples, _) = tops(seen);
    let line =
        samples.iter().filter_map(|sample| sample.lines().next()).find(|line| line.starts_with(b"+OK"))?;
    Some(format!("TOP has a second status line: {}", quote(line.trim_ascii_end())))
}

fn other_header(seen: &Seen<'_>) -> Option<String> {
    let (number, whole) = seen.evidence.samples().find_map(|(item, sample)| match item {
        Item::Whole(number) => Some((number, sample)),
        _ => None,
    })?;
    let (_, top) = seen.evidence.samples().find(|(item, _)| *item == Item::Beginning(number))?;
    (second_ok(seen).is_none() && !whole.header().eq(top.header()))
        .then(|| format!("message {number} has another header by TOP than by RETR"))
}

fn irregular(seen: &Seen<'_>, kind: IrregularEnd, words: &str) -> Option<String> {
    seen.evidence.samples().any(|(_, sample)| sample.irregular == Some(kind)).then(|| words.to_owned())
}

fn dot_after_text(seen: &Seen<'_>) -> Option<String> {
    irregular(seen, IrregularEnd::AfterText, "the dot that ends a message stands behind text")
}

fn dot_without_lf(seen: &Seen<'_>) -> Option<String> {
    irregular(seen, IrregularEnd::MissingLineFeed, "a message ends in dot and CR, without LF")
}

fn bare_lf(seen: &Seen<'_>) -> Option<String> {
    let told = seen.evidence.leniencies;
    match (told.bare_lf_lines, told.bare_lf_bodies) {
        (0, 0) => irregular(seen, IrregularEnd::BareLineFeed, "a message ends in a dot with LF alone"),
        (0, _) => Some("lines of many-line answers end in LF alone".to_owned()),
        _ => Some("lines end in LF alone".to_owned()),
    }
}

/// Bare LF in a message whose first line ends in CRLF.
fn bare_lf_within(seen: &Seen<'_>) -> Option<String> {
    let (mixed, _) = seen
        .evidence
        .samples()
        .map(|(_, sample)| {
            (sample.line_ends().0, sample.lines().next().is_some_and(|line| line.ends_with(b"\r\n")))
        })
        .find(|(bare, crlf)| *bare > 0 && *crlf)?;
    Some(format!(
        "{} of a message end in LF alone",
        count(usize::try_from(mixed).unwrap_or(usize::MAX), "line")
    ))
}

/// Whether messages come in another form than they have, or not all of them, so that sizes cannot be right.
pub(super) fn changes_messages(seen: &Seen<'_>) -> bool {
    [
        few_lines,
        second_ok,
        dot_after_text,
        dot_without_lf,
        bare_lf,
        bare_lf_within,
        more_than_asked,
        extra_blank,
        no_blank,
        other_header,
        added_header,
    ]
    .iter()
    .any(|rule| rule(seen).is_some())
}

fn more_than_asked(seen: &Seen<'_>) -> Option<String> {
    let of_message = |item: &Item| matches!(item, Item::Header(_) | Item::Beginning(_) | Item::Whole(_));
    let (_, text) = seen.evidence.unasked.iter().find(|(after, _)| of_message(after))?;
    Some(format!("after a message comes what nobody asked for: {}", quote(text.as_bytes())))
}

fn header_alone<'a>(seen: &Seen<'a>) -> Option<(Item, &'a Sample)> {
    seen.evidence.samples().find(|(item, sample)| matches!(item, Item::Header(_)) && sample.is_kept())
}

fn extra_blank(seen: &Seen<'_>) -> Option<String> {
    let (_, sample) = header_alone(seen)?;
    let blanks = sample.lines().skip(sample.header().count()).filter(|line| is_blank(line)).count();
    let nothing_else = sample.body_lines() == blanks.checked_sub(1);
    (blanks > 1 && nothing_else).then(|| "a blank line more than the message has, at its end".to_owned())
}

fn no_blank(seen: &Seen<'_>) -> Option<String> {
    let (item, sample) = header_alone(seen)?;
    let Item::Header(number) = item else { return None };
    let (_, more) = seen.evidence.samples().find(|(item, _)| *item == Item::Beginning(number))?;
    // Where the line end before the dot is missing, it is this one.
    let ends_oddly = dot_after_text(seen).is_some();
    (!ends_oddly && sample.body_lines().is_none() && more.body_lines().is_some())
        .then(|| "the blank line after the header is missing where it is the last".to_owned())
}

fn refused_retr(seen: &Seen<'_>) -> Option<(String, bool)> {
    let event = seen.evidence.events.iter().find(|event| matches!(event.item, Item::Whole(_)))?;
    let reply = event.outcome.as_ref().err().filter(|error| error.is_refused())?.reply()?;
    Some((quote(reply.line().as_bytes()), says(reply.text(), "exceed") || says(reply.text(), "quota")))
}

fn retr_refused(seen: &Seen<'_>) -> Option<String> {
    let (words, quota) = refused_retr(seen)?;
    (!quota).then(|| format!("RETR is refused: {words}"))
}

fn quota(seen: &Seen<'_>) -> Option<String> {
    let (words, quota) = refused_retr(seen)?;
    quota.then(|| format!("RETR is refused: {words}"))
}

fn has_header(sample: &Sample, name: &str) -> bool {
    let name = name.as_bytes();
    sample.header().any(|line| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))
}

fn folder_data(seen: &Seen<'_>) -> Option<String> {
    let internal = |sample: &Sample| {
        let mut subjects = sample.header().filter(|line| says(line, "subject:"));
        subjects.any(|line| says(line, "FOLDER INTERNAL DATA"))
    };
    let first = |item: Item| matches!(item, Item::Header(1) | Item::Beginning(1));
    let found = seen.evidence.samples().any(|(item, sample)| first(item) && internal(sample));
    found.then(|| "message 1 is the server's own: FOLDER INTERNAL DATA".to_owned())
}

fn added_header(seen: &Seen<'_>) -> Option<String> {
    const ADDED: [&str; 2] = ["X-UIDL:", "X-POP3-Rcpt:"];
    let name =
        ADDED.into_iter().find(|name| seen.evidence.samples().any(|(_, sample)| has_header(sample, name)))?;
    Some(format!("messages have a header {name}"))
}

fn other_text_size(seen: &Seen<'_>) -> Option<String> {
    let (_, sample) = seen.evidence.samples().find(|(item, _)| matches!(item, Item::Whole(_)))?;
    let text = std::str::from_utf8(sample.reply.text()).ok()?;
    let (digits, rest) = text.split_once(' ')?;
    let said: u64 = digits.parse().ok().filter(|_| rest.starts_with("octets"))?;
    let fits = (said..=said.saturating_add(2)).contains(&sample.total);
    (!fits && !changes_messages(seen)).then(|| format!("RETR says {said} octets and sends {}", sample.total))
}

fn slow_start(seen: &Seen<'_>) -> Option<String> {
    let of_message = |item: Item| matches!(item, Item::Header(_) | Item::Beginning(_) | Item::Whole(_));
    let slow = |time: std::time::Duration| time >= seen.evidence.slow;
    let event = seen.evidence.events.iter().find(|event| of_message(event.item) && slow(event.time))?;
    Some(format!("a message took {:.1} s to come", event.time.as_secs_f32()))
}
