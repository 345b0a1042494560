//! STAT, LIST and UIDL.

use std::collections::HashMap;

use popwire_proto::listing::UniqueId;
use popwire_proto::{Error as Proto, MessageNumber, Reply, Text};

use super::{Rule, count, quote, rules, says};
use crate::probe::evidence::{Seen, protocol};
use crate::probe::steps::Item;

pub(super) const RULES: &[Rule] = rules! {
    "Q-043" Stat: stat_refused => "counts it as temporary: the login came too soon";
    "Q-061" Stat: negative_size => "takes the size for unknown and the count as it is";
    "Q-062" Stat: stat_garbage => "takes the size for unknown; where the count is missing, LIST counts";
    "Q-063" List: empty_list_refused => "takes it for an empty mailbox where STAT says so";
    "Q-064" List: bad_lines => "skips and counts the bad lines, and goes by the numbers";
    "Q-077" List: lists_differ => "joins the lists by number, and keeps what only one of them has";
    "Q-079" List: list_cut => "uses nothing of that listing";
    "Q-089" List hint: window_of_45 => "takes no count for all there is: come again until nothing is new";
    "Q-122" List hint: window_of_250 => "takes no count for all there is: come again until nothing is new";
    "Q-145" List hint: window_of_500 => "takes no count for all there is: come again until nothing is new";
    "Q-065" Uidl: many_blanks => "takes any run of blanks as one";
    "Q-066" Uidl: ok_before_lines => "drops it";
    "Q-067" Uidl: odd_single => "takes the lone field for the id, and a dot never for the next answer";
    "Q-068" Uidl: blank_ids => "takes a blank id for none: it names no message";
    "Q-069" Uidl: same_ids => "lists both messages: the id alone does not tell them apart";
    "Q-070" Uidl: weird_ids => "takes up to 1000 octets as they are and flags them";
    "Q-072" Uidl hint: small_ids => "goes by the octets of an id: such ids may be given again to other mail";
    "Q-074" Uidl: same_digests => "lists both messages: they may be copies, their ids are digests";
    "Q-075" Uidl: uidl_fails => "goes on without unique-ids this time";
    "Q-076" Uidl: no_uidl => "goes on without unique-ids: what was fetched before is not known by them";
};

fn stat_refused(seen: &Seen<'_>) -> Option<String> {
    Some(format!("STAT is refused: {}", quote(seen.evidence.refused(Item::Stat)?.text())))
}

/// The fields after the count.
fn stat_rest(reply: &Reply) -> Option<&[u8]> {
    reply.text().split(|octet| *octet == b' ').filter(|field| !field.is_empty()).nth(1)
}

fn negative_size(seen: &Seen<'_>) -> Option<String> {
    let stat = seen.stat.as_ref()?;
    let digits = stat_rest(&stat.reply)?.strip_prefix(b"-")?;
    (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
        .then(|| format!("STAT says {}", quote(stat.reply.line().as_bytes())))
}

fn stat_garbage(seen: &Seen<'_>) -> Option<String> {
    let reply = seen.evidence.ok(Item::Stat)?;
    let unknown = seen.stat.as_ref().is_none_or(|stat| stat.octets.is_none());
    (unknown && negative_size(seen).is_none())
        .then(|| format!("STAT says {}", quote(reply.line().as_bytes())))
}

fn empty_list_refused(seen: &Seen<'_>) -> Option<String> {
    let reply = seen.evidence.refused(Item::List)?;
    (seen.stat.as_ref()?.messages == 0)
        .then(|| format!("no mail, and LIST says {}", quote(reply.line().as_bytes())))
}

/// Numbers that a listing has and must not have: beyond its own length, so that there are gaps before them.
fn misplaced(numbers: impl ExactSizeIterator<Item = MessageNumber>) -> Option<MessageNumber> {
    let most = u64::try_from(numbers.len()).unwrap_or(u64::MAX);
    numbers.last().filter(|last| u64::from(*last) > most)
}

fn bad_lines(seen: &Seen<'_>) -> Option<String> {
    let list = seen.list.as_ref();
    let skipped =
        [("LIST", list.map(|list| list.skipped())), ("UIDL", seen.uidl.as_ref().map(|ids| ids.skipped()))];
    for (what, skipped) in skipped {
        if let Some(skipped @ 1..) = skipped {
            return Some(format!("{} of {what} cannot be read", count(skipped, "line")));
        }
    }
    if let Some(scan) = list.into_iter().flat_map(|list| list.iter()).find(|scan| scan.octets.is_none()) {
        return Some(format!("LIST has no size of message {}", scan.number));
    }
    let of_list = list.and_then(|list| misplaced(list.iter().map(|scan| scan.number)));
    let of_uidl = seen.uidl.as_ref().and_then(|ids| misplaced(ids.iter().map(|(number, _)| number)));
    let number = of_list.or(of_uidl.filter(|_| !has_flood(seen)))?;
    Some(format!("a listing has message {number} and not all before it"))
}

/// UIDL lists far more than there is, which is told by a row of its own.
fn has_flood(seen: &Seen<'_>) -> bool {
    match (&seen.list, &seen.uidl) {
        (Some(list), Some(ids)) => ids.len() > list.len().saturating_mul(2) + 1000,
        _ => false,
    }
}

fn lists_differ(seen: &Seen<'_>) -> Option<String> {
    let list = seen.list.as_ref()?;
    let counted = seen.stat.as_ref().map(|stat| stat.messages);
    let clean = list.skipped() == 0 && bad_lines(seen).is_none() && !has_flood(seen);
    if let Some(ids) = seen.uidl.as_ref().filter(|ids| clean && ids.len() != list.len()) {
        return Some(format!("LIST has {}, UIDL {}", count(list.len(), "message"), ids.len()));
    }
    let few = u64::try_from(list.len()).unwrap_or(u64::MAX);
    let counted = counted.filter(|counted| clean && *counted != few && *counted < 1_000_000)?;
    Some(format!("STAT counts {counted} messages, LIST has {few}"))
}

fn list_cut(seen: &Seen<'_>) -> Option<String> {
    [Item::List, Item::Uidl, Item::UidlAgain].into_iter().find_map(|item| {
        match protocol(seen.evidence.error(item))? {
            error @ Proto::Closed { .. } => Some(error.to_string()),
            _ => None,
        }
    })
}

fn window(seen: &Seen<'_>, messages: u64) -> Option<String> {
    let counted = seen.stat.as_ref()?.messages;
    (counted == messages).then(|| format!("exactly {messages} messages: there may be more than are shown"))
}

fn window_of_45(seen: &Seen<'_>) -> Option<String> {
    window(seen, 45)
}

fn window_of_250(seen: &Seen<'_>) -> Option<String> {
    window(seen, 250)
}

fn window_of_500(seen: &Seen<'_>) -> Option<String> {
    window(seen, 500)
}

fn uidl_lines<'a>(seen: &Seen<'a>) -> impl Iterator<Item = &'a [u8]> {
    let evidence = seen.evidence;
    [Item::Uidl, Item::UidlAgain].into_iter().filter_map(|item| evidence.ok(item)).flat_map(Reply::lines)
}

fn many_blanks(seen: &Seen<'_>) -> Option<String> {
    let spaced = |line: &&[u8]| {
        let line = line.trim_ascii();
        let rest = line.get(line.iter().take_while(|octet| octet.is_ascii_digit()).count()..);
        rest.is_some_and(|rest| rest.starts_with(b"  ") || rest.starts_with(b"\t"))
    };
    Some(format!("UIDL has the line {}", quote(uidl_lines(seen).find(spaced)?)))
}

fn ok_before_lines(seen: &Seen<'_>) -> Option<String> {
    Some(format!("UIDL has the line {}", quote(uidl_lines(seen).find(|line| line.starts_with(b"+OK "))?)))
}

fn odd_single(seen: &Seen<'_>) -> Option<String> {
    let asked = seen.evidence.events.iter().find(|event| matches!(event.item, Item::UidlOne(_)))?.item;
    let still = protocol(seen.evidence.error(Item::Still));
    if matches!(still, Some(Proto::Unsolicited(_) | Proto::NotAStatusLine(_))) {
        return Some("UIDL with a number has more than one line".to_owned());
    }
    let reply = seen.evidence.ok(asked)?;
    let fields = reply.text().split(|octet| *octet == b' ').filter(|field| !field.is_empty());
    (fields.count() == 1)
        .then(|| format!("UIDL with a number is answered {}", quote(reply.line().as_bytes())))
}

fn ids<'s>(seen: &'s Seen<'_>) -> impl Iterator<Item = (MessageNumber, UniqueId<'s>)> {
    seen.uidl.iter().flat_map(|ids| ids.iter())
}

fn blank_ids(seen: &Seen<'_>) -> Option<String> {
    let (number, _) = ids(seen).find(|(_, id)| id.is_blank())?;
    Some(format!("message {number} has a blank unique-id"))
}

fn is_digest(id: &[u8]) -> bool {
    id.len() == 32 && id.iter().all(u8::is_ascii_hexdigit)
}

/// The first two messages with the same id.
fn twins<'s>(seen: &'s Seen<'_>) -> Option<(MessageNumber, MessageNumber, UniqueId<'s>)> {
    let mut known = HashMap::new();
    ids(seen)
        .filter(|(_, id)| !id.is_blank())
        .find_map(|(number, id)| known.insert(id, number).map(|before| (before, number, id)))
}

fn same_ids(seen: &Seen<'_>) -> Option<String> {
    let (one, other, id) = twins(seen).filter(|(.., id)| !is_digest(id.as_bytes()))?;
    Some(format!("messages {one} and {other} have the unique-id {}", quote(id.as_bytes())))
}

fn same_digests(seen: &Seen<'_>) -> Option<String> {
    let (one, other, id) = twins(seen).filter(|(.., id)| is_digest(id.as_bytes()))?;
    Some(format!("messages {one} and {other} have the unique-id {}", quote(id.as_bytes())))
}

fn weird_ids(seen: &Seen<'_>) -> Option<String> {
    let (number, id) = ids(seen).find(|(_, id)| !id.is_blank() && !id.is_regular())?;
    let octets = id.as_bytes().len();
    Some(format!("the unique-id of message {number} has {octets} octets: {}", quote(id.as_bytes())))
}

fn small_ids(seen: &Seen<'_>) -> Option<String> {
    /// Larger ones are times or other numbers that grow.
    const DIGITS: usize = 7;
    let small = |id: &[u8]| (1..=DIGITS).contains(&id.len()) && id.iter().all(u8::is_ascii_digit);
    let (_, first) = ids(seen).next()?;
    ids(seen)
        .all(|(_, id)| small(id.as_bytes()))
        .then(|| format!("unique-ids are small numbers: {}", Text::from(first.as_bytes())))
}

/// UIDL was refused, with these words; and whether it is a trouble that passes.
fn refused_uidl<'a>(seen: &Seen<'a>) -> Option<(&'a Reply, bool)> {
    let reply = seen.evidence.refused(Item::Uidl)?;
    let words = ["[SYS/TEMP", "try again", "tempor", "later"];
    let passes = seen.uidl.is_some() || words.iter().any(|words| says(reply.text(), words));
    Some((reply, passes))
}

fn uidl_fails(seen: &Seen<'_>) -> Option<String> {
    let (reply, passes) = refused_uidl(seen)?;
    passes.then(|| format!("UIDL is refused: {}", quote(reply.line().as_bytes())))
}

fn no_uidl(seen: &Seen<'_>) -> Option<String> {
    let (reply, passes) = refused_uidl(seen)?;
    (!passes).then(|| format!("UIDL is refused: {}", quote(reply.line().as_bytes())))
}
