//! A line on each part of the protocol: what it is like at this server.

use std::time::Duration;

use popwire_proto::Reply;

use super::evidence::{Answer, Event, Seen};
use super::report::{CapabilityStages, Check, Finding, Outcome, Report, Subject};
use super::rules;
use super::rules::sizes::Verdict;
use super::steps::Item;
use crate::Certificate;
use crate::Security;

impl Report {
    /// What the evidence comes to; the error is the examination's to add.
    pub(super) fn of(seen: &Seen<'_>, security: Security) -> Self {
        let findings = rules::findings(seen);
        let evidence = seen.evidence;
        let (messages, octets) = totals(seen);
        // Where TLS was there from the first octet, or never, nothing was asked before it.
        let by_stls = evidence.event(Item::Stls).is_some();
        let (before_tls, before_login) = match by_stls {
            true => (seen.capa_first.clone(), seen.capa_with_tls.clone()),
            false => (None, seen.capa_first.clone()),
        };
        let login = evidence.events.iter().find_map(|event| match event.outcome {
            Ok(Answer::LoggedIn(method)) => Some((method, event.time)),
            _ => None,
        });
        Self {
            greeting: evidence.greeting.clone(),
            security,
            certificate: evidence.tls.as_ref().and_then(|tls| Certificate::read(&tls.certificate)),
            tls: evidence.tls.clone(),
            capabilities: CapabilityStages {
                before_tls,
                before_login,
                after_login: seen.capa_within.clone(),
            },
            logged_in_by: login.and_then(|(method, _)| method),
            login_time: login.map(|(_, time)| time),
            messages,
            octets,
            round_trip: round_trip(seen),
            connections: evidence.connections,
            checks: checks(seen, &findings),
            findings,
            error: None,
        }
    }
}

fn totals(seen: &Seen<'_>) -> (Option<u64>, Option<u64>) {
    let sum = || seen.list.as_ref()?.iter().try_fold(0u64, |sum, scan| sum.checked_add(scan.octets?));
    match &seen.stat {
        Some(stat) => (Some(stat.messages), stat.octets.or_else(sum)),
        None => (seen.list.as_ref().map(|list| list.len() as u64), sum()),
    }
}

fn round_trip(seen: &Seen<'_>) -> Option<Duration> {
    let noops = seen.evidence.events.iter().filter(|event| event.item == Item::Noop && event.outcome.is_ok());
    let mut times: Vec<_> = noops.map(|event| event.time).collect();
    times.sort();
    times.get(times.len() / 2).copied()
}

/// How a part is told: what it is like, unless a finding says that it is odd.
type Look = fn(&Seen<'_>) -> Option<(Outcome, String)>;

const LOOKS: [(Subject, Look); 13] = [
    (Subject::Capa, capa),
    (Subject::Stls, stls),
    (Subject::Login, login),
    (Subject::ResponseCodes, response_codes),
    (Subject::Stat, stat),
    (Subject::List, list),
    (Subject::Uidl, uidl),
    (Subject::Sizes, sizes),
    (Subject::Top, top),
    (Subject::Pipelining, pipelining),
    (Subject::Rset, rset),
    (Subject::Last, last),
    (Subject::Quit, quit),
];

fn checks(seen: &Seen<'_>, findings: &[Finding]) -> Vec<Check> {
    let check = |(subject, look): (Subject, Look)| {
        let (outcome, text) = look(seen).unwrap_or((Outcome::Untried, "not tried".to_owned()));
        let odd = findings.iter().any(|finding| finding.subject == subject && !finding.hint);
        let outcome = if odd { Outcome::Odd } else { outcome };
        Check { subject, outcome, seen: text }
    };
    LOOKS.into_iter().map(check).collect()
}

fn good(text: impl Into<String>) -> Option<(Outcome, String)> {
    Some((Outcome::Good, text.into()))
}

fn absent(text: impl Into<String>) -> Option<(Outcome, String)> {
    Some((Outcome::Absent, text.into()))
}

fn odd(text: impl Into<String>) -> Option<(Outcome, String)> {
    Some((Outcome::Odd, text.into()))
}

/// What came of a command: its answer for the one who reads it, or how it failed.
fn heard(event: &Event, good: impl FnOnce(&Reply) -> String) -> (Outcome, String) {
    match &event.outcome {
        Ok(Answer::Reply(reply)) if reply.is_ok() => (Outcome::Good, good(reply)),
        Ok(Answer::Reply(_)) => (Outcome::Odd, "refused".to_owned()),
        Ok(_) => (Outcome::Good, "answered".to_owned()),
        Err(error) if error.is_refused() => (Outcome::Odd, "refused".to_owned()),
        Err(error) if error.is_timeout() => (Outcome::Odd, "no answer in time".to_owned()),
        Err(error) if error.is_io() => (Outcome::Odd, "the connection ended over it".to_owned()),
        Err(_) => (Outcome::Odd, "the answer is none".to_owned()),
    }
}

fn capa(seen: &Seen<'_>) -> Option<(Outcome, String)> {
    let stages = [Item::CapaFirst, Item::CapaWithTls, Item::CapaWithin];
    let answered: Vec<_> = stages.into_iter().filter(|item| seen.evidence.ok(*item).is_some()).collect();
    match (answered.len(), seen.evidence.event(Item::CapaFirst)) {
        (0, event) => Some(heard(event?, |_| String::new())),
        (asked, _) => good(format!("answered {}", times(asked))),
    }
}

fn times(number: usize) -> String {
    match number {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        number => format!("{number} times"),
    }
}

fn stls(seen: &Seen<'_>) -> Option<(Outcome, String)> {
    match seen.evidence.event(Item::Stls) {
        Some(event) if event.outcome.is_ok() => good("works"),
        Some(_) => odd("does not work"),
        None if seen.evidence.tls.is_some() => absent("not needed: TLS from the first octet"),
        None if seen.announced("STLS") => good("announced, not used"),
        None => absent("not announced"),
    }
}

fn login(seen: &Seen<'_>) -> Option<(Outcome, String)> {
    let event = seen.evidence.event(Item::Login)?;
    match (&event.outcome, seen.evidence.event(Item::Stat)) {
        (Ok(Answer::LoggedIn(Some(method))), _) => good(format!("by {method}")),
        (Err(error), None) if error.is_policy() => {
            Some((Outcome::Untried, "nothing was sent, by a rule of safety on this side".to_owned()))
        }
        (Err(_), None) => odd("did not get in"),
        _ => good("works"),
    }
}

fn response_codes(seen: &Seen<'_>) -> Option<(Outcome, String)> {
    let codes: Vec<_> =
        ["RESP-CODES", "AUTH-RESP-CODE"].into_iter().filter(|tag| seen.announced(tag)).collect();
    if !seen.has_capa() {
        return None;
    }
    if codes.is_empty() { absent("not announced: words have to do") } else { good(codes.join(", ")) }
}

fn stat(seen: &Seen<'_>) -> Option<(Outcome, String)> {
    let event = seen.evidence.event(Item::Stat)?;
    let text =
        || seen.stat.as_ref().map(|stat| messages(stat.messages)).unwrap_or_else(|| "unreadable".to_owned());
    Some(heard(event, |_| text()))
}

fn messages(count: u64) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}

fn list(seen: &Seen<'_>) -> Option<(Outcome, String)> {
    let event = seen.evidence.event(Item::List)?;
    let text = || {
        seen.list.as_ref().map(|list| messages(list.len() as u64)).unwrap_or_else(|| "unreadable".to_owned())
    };
    Some(heard(event, |_| text()))
}

fn uidl(seen: &Seen<'_>) -> Option<(Outcome, String)> {
    let event = seen.evidence.event(Item::UidlAgain).or_else(|| seen.evidence.event(Item::Uidl))?;
    let text = || match &seen.uidl {
        None => "unreadable".to_owned(),
        Some(ids) if ids.is_empty() => "no messages".to_owned(),
        Some(ids) => {
            let longest = ids.iter().map(|(_, id)| id.as_bytes().len()).max().unwrap_or(0);
            format!("{}, ids of up to {longest} octets", messages(ids.len() as u64))
        }
    };
    Some(heard(event, |_| text()))
}

fn sizes(seen: &Seen<'_>) -> Option<(Outcome, String)> {
    seen.evidence.event(Item::List)?;
    match rules::sizes::verdict(seen) {
        Verdict::Unknown => Some((Outcome::Untried, "not compared: no message came whole".to_owned())),
        Verdict::Right => good("those of LIST are the octets that came"),
        Verdict::LineFeeds => odd("a line end counts as one octet"),
        _ => odd("those of LIST are not the octets that came"),
    }
}

fn top(seen: &Seen<'_>) -> Option<(Outcome, String)> {
    let is_top = |item| matches!(item, Item::Header(_) | Item::Beginning(_));
    let mut events = seen.evidence.events.iter().filter(|event| is_top(event.item)).peekable();
    let first = *events.peek()?;
    match (&first.outcome, events.any(|event| event.outcome.is_ok())) {
        (_, true) if seen.announced("TOP") => good("works"),
        (_, true) => good("works, not announced"),
        (Err(error), _) if error.is_refused() && !seen.announced("TOP") => absent("not there, not announced"),
        _ => Some(heard(first, |_| String::new())),
    }
}

fn pipelining(seen: &Seen<'_>) -> Option<(Outcome, String)> {
    let event = seen.evidence.event(Item::Together)?;
    let announced = if seen.announced("PIPELINING") { "announced" } else { "not announced" };
    match &event.outcome {
        Ok(_) => good(format!("{announced}; three commands at once are answered")),
        Err(_) => odd(format!("{announced}; commands at once are lost")),
    }
}

fn rset(seen: &Seen<'_>) -> Option<(Outcome, String)> {
    Some(heard(seen.evidence.event(Item::Rset)?, |_| "works".to_owned()))
}

fn last(seen: &Seen<'_>) -> Option<(Outcome, String)> {
    match seen.evidence.event(Item::Last)? {
        event if event.refused() => absent("not there"),
        event => Some(heard(event, |_| "answered".to_owned())),
    }
}

fn quit(seen: &Seen<'_>) -> Option<(Outcome, String)> {
    seen.evidence.event(Item::Stat)?;
    Some(heard(seen.evidence.event(Item::Quit)?, |_| "answered".to_owned()))
}
