//! The login, and refusals of it.

use popwire_proto::apop::timestamp;
use popwire_proto::sasl::Error as Sasl;
use popwire_proto::{Error as Proto, Reply, ResponseCode};

use super::{Rule, quote, rules, says};
use crate::probe::evidence::Seen;
use crate::probe::steps::Item;
use crate::{Error, Method};

pub(super) const RULES: &[Rule] = rules! {
    "Q-025" Login: tls_wanted => "reports missing TLS, not a wrong password";
    "Q-026" Login: tls_wanted_by_code => "reports missing TLS, not a wrong password";
    "Q-029" Login: exchange_unavailable => "counts it as temporary and keeps the token";
    "Q-030" Login: exchange_blames => "tells that POP3 may be off for the mailbox, or the user another";
    "Q-034" Login: odd_challenge => "goes on where nothing could stand in it; otherwise cancels";
    "Q-035" Login: closes_after_refusal => "tries the next way over a new connection; never after a verdict";
    "Q-039" Login hint: bare_auth => "asks CAPA; bare AUTH only by a call of its own";
    "Q-040" Login: neither_ok_nor_err => "ends the session: it is neither success nor refusal";
    "Q-041" Login: hmail => "shows the words; \"too many\" counts as temporary";
    "Q-042" Login: locked_in_words => "counts it as temporary, by the words";
    "Q-044" Login hint: too_soon => "says that it is too soon, and when another login makes sense";
    "Q-045" Login hint: locked_by_code => "goes by the code: the password is not doubted";
    "Q-046" Login: unknown_code => "draws no conclusion from a code that it does not know";
    "Q-047" Login: slow_login => "waits 300 s for a login";
    "Q-048" Login hint: no_reason => "tells for known providers that POP3 may be switched off";
    "Q-049" Login: too_soon_in_words => "counts it as temporary, by the words";
    "Q-052" Login: gmail_refuses => "says what to set at Google; does not try again";
    "Q-053" Login: user_refused => "sends no password after a refused USER; may try another way";
    "Q-129" Login: still_locked => "says after how long another login makes sense";
    "Q-143" Login: not_utf8 => "keeps texts as octets and shows the rest escaped";
    "Q-146" Login: yahoo_refuses => "goes by the code; an app password may be wanted";
    "Q-154" Login hint: apop_wanted => "does APOP by name only: --auth APOP";
};

/// The last login that failed; where another had got in before, it was one over a new connection.
fn failure<'a>(seen: &Seen<'a>) -> Option<&'a Error> {
    seen.evidence.failed_logins().last()
}

/// The server's words to it.
fn refusal<'a>(seen: &Seen<'a>) -> Option<&'a Reply> {
    failure(seen)?.reply()
}

fn has_entered(seen: &Seen<'_>) -> bool {
    seen.evidence.event(Item::Stat).is_some()
}

fn code<'a>(seen: &Seen<'a>) -> Option<&'a ResponseCode> {
    refusal(seen)?.code()
}

fn is_plain_refusal(seen: &Seen<'_>) -> bool {
    refusal(seen).is_some_and(|reply| !reply.text().starts_with(b"["))
}

/// The refusal in its own words.
fn whole(seen: &Seen<'_>) -> Option<String> {
    Some(format!("the login is refused: {}", quote(refusal(seen)?.text())))
}

/// The refusal, if it has one of these words.
fn said(seen: &Seen<'_>, words: &[&str]) -> Option<String> {
    let text = refusal(seen)?.text();
    words.iter().any(|words| says(text, words)).then(|| whole(seen)).flatten()
}

fn tls_wanted(seen: &Seen<'_>) -> Option<String> {
    let wanted = failure(seen)?.is_tls_required() && code(seen) != Some(&ResponseCode::Auth);
    whole(seen).filter(|_| wanted)
}

fn tls_wanted_by_code(seen: &Seen<'_>) -> Option<String> {
    let wanted = failure(seen)?.is_tls_required() && code(seen) == Some(&ResponseCode::Auth);
    whole(seen).filter(|_| wanted)
}

fn exchange_unavailable(seen: &Seen<'_>) -> Option<String> {
    said(seen, &["Server Unavailable. 2"])
}

fn exchange_blames(seen: &Seen<'_>) -> Option<String> {
    said(seen, &["Authentication failure: unknown user name or bad password", "Logon failure"])
}

fn attempts_with<'a>(seen: &Seen<'a>, fault: fn(&Sasl) -> bool) -> Option<&'a crate::Attempt> {
    let attempts = seen.evidence.failed_logins().flat_map(Error::attempts);
    attempts.filter(|attempt| attempt.error.as_ref().is_some_and(fault)).last()
}

fn odd_challenge(seen: &Seen<'_>) -> Option<String> {
    let attempt = attempts_with(seen, |error| matches!(error, Sasl::NotBase64))?;
    Some(format!("{}: a challenge that is not base64", attempt.method))
}

fn closes_after_refusal(seen: &Seen<'_>) -> Option<String> {
    let by_login = seen.evidence.failed_logins().flat_map(Error::attempts).any(|attempt| attempt.closed)
        && neither_ok_nor_err(seen).is_none();
    let refused = refusal(seen).is_some();
    let by_quit = refused && seen.evidence.error(Item::Quit).is_some_and(Error::is_io);
    let lost = refused && seen.evidence.event(Item::Login).is_some_and(|event| event.lost);
    (by_login || by_quit || lost).then(|| "closes the connection over a refused login".to_owned())
}

fn bare_auth(seen: &Seen<'_>) -> Option<String> {
    let names: Vec<_> = seen.evidence.ok(Item::AuthList)?.lines().collect();
    Some(format!("AUTH alone lists {}", quote(&names.join(&b' '))))
}

fn neither_ok_nor_err(seen: &Seen<'_>) -> Option<String> {
    match failure(seen)?.protocol()? {
        Proto::NotAStatusLine(line) => Some(format!("the login is answered {}", quote(line.as_bytes()))),
        _ => None,
    }
}

fn hmail(seen: &Seen<'_>) -> Option<String> {
    said(seen, &["full email address as user name", "Too many invalid logon"])
}

/// Words of [`too_soon_in_words`]; they speak of time and would otherwise be taken for those of a lock.
const SOON: [&str; 6] =
    ["too often", "too soon", "too frequent", "too many logins", "minutes apart", "allowed only every"];

/// Somebody else has the maildrop, by the server's words alone.
fn lock_in_words(seen: &Seen<'_>) -> Option<String> {
    let words = ["lock", "busy", "in use", "mail storage services unavailable", "wait a few"];
    said(seen, &words).filter(|_| is_plain_refusal(seen) && said(seen, &SOON).is_none())
}

fn locked_in_words(seen: &Seen<'_>) -> Option<String> {
    lock_in_words(seen).filter(|_| !has_entered(seen))
}

fn too_soon(seen: &Seen<'_>) -> Option<String> {
    whole(seen).filter(|_| code(seen) == Some(&ResponseCode::LoginDelay))
}

fn locked_by_code(seen: &Seen<'_>) -> Option<String> {
    let maildrop = ["lock", "maildrop", "mailbox"];
    match code(seen)? {
        ResponseCode::InUse => whole(seen),
        ResponseCode::SysTemp | ResponseCode::SysPerm => {
            said(seen, &maildrop).filter(|_| gmail_refuses(seen).is_none())
        }
        _ => None,
    }
    .filter(|_| !has_entered(seen))
}

fn unknown_code(seen: &Seen<'_>) -> Option<String> {
    let reply = refusal(seen)?;
    let bracketed = reply.text().starts_with(b"[") && reply.text().contains(&b']');
    let known = reply.code().is_some_and(|code| !matches!(code, ResponseCode::Other(_)));
    (bracketed && !known).then(|| whole(seen)).flatten()
}

fn slow_login(seen: &Seen<'_>) -> Option<String> {
    let time = seen.evidence.event(Item::Login)?.time;
    (time >= seen.evidence.slow).then(|| format!("the login took {:.1} s", time.as_secs_f32()))
}

fn no_reason(seen: &Seen<'_>) -> Option<String> {
    let bare = refusal(seen)?.text().trim_ascii();
    let bare = bare.strip_suffix(b".").unwrap_or(bare);
    bare.eq_ignore_ascii_case(b"authentication failed").then(|| whole(seen)).flatten()
}

fn too_soon_in_words(seen: &Seen<'_>) -> Option<String> {
    said(seen, &SOON).filter(|_| is_plain_refusal(seen))
}

fn gmail_refuses(seen: &Seen<'_>) -> Option<String> {
    said(
        seen,
        &[
            "Application-specific password",
            "not enabled for POP access",
            "Username and password not accepted",
        ],
    )
}

fn user_refused(seen: &Seen<'_>) -> Option<String> {
    let at_user = |error: &&Error| {
        let last = error.attempts().iter().rev().find(|attempt| attempt.method == Method::UserPass);
        last.is_some_and(|attempt| attempt.reply.is_some() && !attempt.proved)
    };
    let error = seen.evidence.failed_logins().find(at_user)?;
    // One that wants TLS says it to USER, and that is told above.
    let words = quote(error.reply()?.text());
    (!error.is_tls_required() && !error.is_temporary()).then(|| format!("USER is refused: {words}"))
}

fn still_locked(seen: &Seen<'_>) -> Option<String> {
    let in_use = whole(seen).filter(|_| code(seen) == Some(&ResponseCode::InUse));
    let words = in_use.or_else(|| lock_in_words(seen)).filter(|_| has_entered(seen))?;
    Some(format!("after a broken session: {words}"))
}

fn not_utf8(seen: &Seen<'_>) -> Option<String> {
    let text = refusal(seen)?.text();
    std::str::from_utf8(text).is_err().then(|| whole(seen)).flatten()
}

fn yahoo_refuses(seen: &Seen<'_>) -> Option<String> {
    said(seen, &["(#MBR", "Server error - Please try again later"])
}

fn apop_wanted(seen: &Seen<'_>) -> Option<String> {
    timestamp(seen.evidence.greeting.as_ref()?.text())?;
    let error = failure(seen)?;
    let by_password = error.attempts().last()?.method == Method::UserPass;
    // Where the words or a code say more, it is not that.
    let unexplained = code(seen).is_none() && !error.is_temporary() && hmail(seen).is_none();
    (by_password && unexplained).then(|| whole(seen)).flatten()
}
