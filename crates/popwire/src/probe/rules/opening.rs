//! The greeting, CAPA and STLS.

use popwire_proto::apop::timestamp;
use popwire_proto::listing::Capabilities;
use popwire_proto::{Error as Proto, Reply};

use super::{Rule, count, quote, rules};
use crate::TlsProblem;
use crate::probe::evidence::{Answer, Seen, protocol};
use crate::probe::steps::Item;

pub(super) const RULES: &[Rule] = rules! {
    "Q-015" Greeting: turned_away => "tells the refusal, or which protocol answers there";
    "Q-012" Greeting: token => "looks for no response code in a greeting";
    "Q-013" Greeting: no_timestamp => "takes no such brackets for APOP's timestamp";
    "Q-014" Greeting: begins_with_timestamp => "finds the timestamp wherever it stands";
    "Q-001" Capa: no_capa => "can leave CAPA out (--no-capa) and tries commands instead";
    "Q-002" Capa: none_after_login => "keeps what was announced before the login";
    "Q-003" Capa: unannounced => "lets every command be tried, announced or not";
    "Q-004" List: no_words => "needs no words after +OK";
    "Q-005" Capa: other_arguments => "goes by what CAPA says after the login";
    "Q-008" Capa: trailing_blanks => "trims the lines of CAPA";
    "Q-010" Capa: endless => "has a bound for every listing and believes no count";
    "Q-011" Capa: dotted => "ends a list at a lone dot only";
    "Q-121" Capa hint: gmail => "cannot know what becomes of fetched mail: Gmail's web settings decide";
    "Q-019" Stls: stls_fails => "fails within the deadline and sends no password";
    "Q-020" Stls: stls_again => "ignores STLS where TLS is active";
    "Q-021" Stls: words_before_tls => "ends the connection and believes none of it";
    "Q-022" Stls: obeys_smuggled => "says nothing else before the handshake is done";
    "Q-023" Stls hint: no_stls => "sends no password: something in between may have taken STLS away";
};

fn turned_away(seen: &Seen<'_>) -> Option<String> {
    let error = seen.evidence.error(Item::Greeting)?;
    match (error.protocol(), error.reply(), error.tls_problem()) {
        (Some(Proto::NotPop3(what)), ..) => Some(what.to_string()),
        (_, Some(reply), _) => Some(format!("the greeting is {}", quote(reply.line().as_bytes()))),
        (.., Some(TlsProblem::NotTls)) => Some("the port does not speak TLS".to_owned()),
        _ => None,
    }
}

fn greeting<'a>(seen: &Seen<'a>) -> Option<&'a Reply> {
    seen.evidence.greeting.as_ref()
}

/// What stands between the first pair of such brackets.
fn between(text: &[u8], open: u8, close: u8) -> Option<&[u8]> {
    let at = memchr::memchr(open, text)?;
    let inside = text.get(at + 1..)?;
    inside.get(..memchr::memchr(close, inside)?)
}

fn token(seen: &Seen<'_>) -> Option<String> {
    let token = between(greeting(seen)?.text(), b'[', b']')?;
    let base64 = |octet: &u8| octet.is_ascii_alphanumeric() || b"+/=.".contains(octet);
    let is_token = token.len() >= 8 && token.iter().all(base64);
    is_token.then(|| format!("the greeting has [{}]", popwire_proto::Text::from(token)))
}

fn no_timestamp(seen: &Seen<'_>) -> Option<String> {
    let text = greeting(seen)?.text();
    let inside = between(text, b'<', b'>')?;
    timestamp(text).is_none().then(|| format!("the greeting has {}, no message-id", quote(inside)))
}

fn begins_with_timestamp(seen: &Seen<'_>) -> Option<String> {
    let text = greeting(seen)?.text();
    text.starts_with(timestamp(text)?).then(|| "the greeting begins with the timestamp".to_owned())
}

fn no_capa(seen: &Seen<'_>) -> Option<String> {
    if let Some(reply) = seen.evidence.refused(Item::CapaFirst) {
        return Some(format!("CAPA is refused: {}", quote(reply.line().as_bytes())));
    }
    let error = seen.evidence.error(Item::CapaFirst)?;
    (protocol(Some(error)).is_none_or(|error| !matches!(error, Proto::TooLarge { .. })))
        .then(|| error.to_string())
}

fn none_after_login(seen: &Seen<'_>) -> Option<String> {
    seen.capa_before_login()?;
    if let Some(reply) = seen.evidence.refused(Item::CapaWithin) {
        return Some(format!("CAPA is refused after the login: {}", quote(reply.line().as_bytes())));
    }
    Some(format!("CAPA fails after the login: {}", seen.evidence.error(Item::CapaWithin)?))
}

fn unannounced(seen: &Seen<'_>) -> Option<String> {
    if !seen.has_capa() {
        return None;
    }
    let works = [("UIDL", seen.uidl.is_some()), ("TOP", seen.evidence.samples().next().is_some())];
    let silent: Vec<_> =
        works.into_iter().filter(|(tag, works)| *works && !seen.announced(tag)).map(|(tag, _)| tag).collect();
    (!silent.is_empty()).then(|| format!("{} work and are not announced", silent.join(" and ")))
}

fn no_words(seen: &Seen<'_>) -> Option<String> {
    let bare = |item| seen.evidence.ok(item).is_some_and(|reply| reply.text().trim_ascii().is_empty());
    // One of them alone is common.
    [Item::List, Item::Uidl].into_iter().all(bare).then(|| "listings begin with a bare +OK".to_owned())
}

fn other_arguments(seen: &Seen<'_>) -> Option<String> {
    /// What may differ: a login is not needed twice.
    const PER_STATE: [&str; 4] = ["SASL", "STLS", "USER", "IMPLEMENTATION"];
    let (before, after) = (seen.capa_before_login()?, seen.capa_within.as_ref()?);
    let tag = before.iter().map(|capability| capability.tag.to_string()).find(|tag| {
        let [before, after] = [before, after].map(|capabilities| capabilities.get(tag));
        after.is_some_and(|after| before.is_some_and(|before| before.arguments != after.arguments))
            && !PER_STATE.iter().any(|known| known.eq_ignore_ascii_case(tag))
    })?;
    let said = |capabilities: &Capabilities| {
        let arguments = capabilities.get(&tag).into_iter().flat_map(|capability| &capability.arguments);
        arguments.map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    Some(format!(
        "{tag} is {} before the login, {} after it",
        quote(said(before).as_bytes()),
        quote(said(after).as_bytes())
    ))
}

fn capa_lines<'a>(seen: &Seen<'a>) -> impl Iterator<Item = &'a [u8]> {
    let items = [Item::CapaFirst, Item::CapaWithTls, Item::CapaWithin];
    let evidence = seen.evidence;
    items.into_iter().filter_map(|item| evidence.ok(item)).flat_map(Reply::lines)
}

fn trailing_blanks(seen: &Seen<'_>) -> Option<String> {
    let line = capa_lines(seen).find(|line| line.last().is_some_and(|last| b" \t\r".contains(last)))?;
    Some(format!("CAPA has the line {}", quote(line)))
}

fn endless(seen: &Seen<'_>) -> Option<String> {
    /// No server announces as many.
    const CAPABILITIES: usize = 100;
    /// No mailbox has as many.
    const MESSAGES: u64 = 1_000_000;
    for (item, what) in [
        (Item::CapaFirst, "CAPA"),
        (Item::CapaWithTls, "CAPA"),
        (Item::CapaWithin, "CAPA"),
        (Item::List, "LIST"),
        (Item::Uidl, "UIDL"),
    ] {
        if let Some(error @ Proto::TooLarge { .. }) = protocol(seen.evidence.error(item)) {
            return Some(format!("{what}: {error}"));
        }
    }
    let most = [&seen.capa_first, &seen.capa_within].into_iter().flatten().map(|c| c.iter().len()).max();
    let listed = seen.list.as_ref().map(|list| list.len() as u64);
    let named = seen.uidl.as_ref().map(|ids| ids.len() as u64);
    match (most, &seen.stat, listed, named) {
        (Some(most @ CAPABILITIES..), ..) => Some(format!("CAPA has {most} lines")),
        (_, Some(stat), Some(listed), _) if stat.messages > MESSAGES && stat.messages / 2 > listed => {
            Some(format!("STAT counts {} messages, LIST has {listed}", stat.messages))
        }
        (.., Some(listed), Some(named)) if named > listed.saturating_mul(2) + 1000 => {
            Some(format!("UIDL has {named} lines, LIST {listed}"))
        }
        _ if seen.evidence.ok(Item::Uidl).is_some_and(|_| seen.uidl.is_none()) => {
            Some("UIDL has more lines than any mailbox has messages".to_owned())
        }
        _ => None,
    }
}

fn dotted(seen: &Seen<'_>) -> Option<String> {
    let line = capa_lines(seen).find(|line| line.starts_with(b"."))?;
    Some(format!("CAPA has the line {}", quote(line)))
}

fn gmail(seen: &Seen<'_>) -> Option<String> {
    seen.announced("X-GOOGLE-RICO").then(|| "this is Gmail".to_owned())
}

fn stls_fails(seen: &Seen<'_>) -> Option<String> {
    let error = seen.evidence.error(Item::Stls)?;
    if matches!(error.protocol(), Some(Proto::PlaintextAfterStls)) {
        return None;
    }
    let announced = seen.capa_first.as_ref().is_none_or(|capabilities| capabilities.has("STLS"));
    announced.then(|| match std::error::Error::source(error) {
        Some(source) if error.tls_problem() == Some(TlsProblem::StlsRefused) => source.to_string(),
        _ => error.to_string(),
    })
}

fn stls_again(seen: &Seen<'_>) -> Option<String> {
    seen.evidence.tls.as_ref()?;
    let over_tls = if seen.capa_with_tls.is_some() || seen.evidence.event(Item::Stls).is_some() {
        seen.capa_with_tls.as_ref()
    } else {
        seen.capa_first.as_ref()
    };
    over_tls?.has("STLS").then(|| "STLS is announced within TLS".to_owned())
}

fn words_before_tls(seen: &Seen<'_>) -> Option<String> {
    let error = protocol(seen.evidence.error(Item::Stls))?;
    matches!(error, Proto::PlaintextAfterStls).then(|| "words in the clear before the handshake".to_owned())
}

/// NOOP went out in the same write as STLS. If it is answered within TLS, an attacker can put commands there.
fn obeys_smuggled(seen: &Seen<'_>) -> Option<String> {
    seen.evidence.event(Item::Smuggle).filter(|event| matches!(event.outcome, Ok(Answer::Encrypted)))?;
    let aside = seen.evidence.event(Item::CapaAside)?;
    let answered = match &aside.outcome {
        Ok(Answer::Reply(reply)) => !reply.is_ok() || reply.data().starts_with(b"+OK"),
        Err(error) => {
            matches!(error.protocol(), Some(Proto::Unsolicited(_) | Proto::ServerClosing(_)))
        }
        Ok(_) => false,
    };
    answered.then(|| "a command sent in the clear behind STLS is obeyed within TLS".to_owned())
}

fn no_stls(seen: &Seen<'_>) -> Option<String> {
    let capabilities = seen.capa_first.as_ref()?;
    let refused = seen.evidence.error(Item::Stls)?.tls_problem() == Some(TlsProblem::StlsRefused);
    (refused && !capabilities.has("STLS")).then(|| {
        format!("STLS is not announced among {}", count(capabilities.iter().len(), "capability line"))
    })
}
