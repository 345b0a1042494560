//! Pipelining, LAST and QUIT.

use super::{Rule, quote, rules};
use crate::Error;
use crate::probe::evidence::{Answer, Seen};
use crate::probe::steps::Item;

pub(super) const RULES: &[Rule] = rules! {
    "Q-136" Pipelining: lost_commands => "sends one command at a time, so that nothing is lost";
    "P-058" Rset: rset_refused => "sends no RSET of its own accord";
    "Q-139" Last hint: has_last => "does not use LAST: what it counts differs from server to server";
    "Q-132" Quit: no_answer => "calls deletions unknown if there were any, and looks again";
    "Q-133" Quit: refused => "tells that the server may not have deleted all that was marked";
    "Q-134" Quit: silent => "waits 10 s for the answer, longer with deletions, and closes";
};

fn lost_commands(seen: &Seen<'_>) -> Option<String> {
    let announced = if seen.announced("PIPELINING") { "" } else { ", and PIPELINING is not announced" };
    let what = match &seen.evidence.event(Item::Together)?.outcome {
        Err(error) => error.to_string(),
        Ok(Answer::Replies(replies)) => quote(replies.iter().find(|reply| !reply.is_ok())?.line().as_bytes()),
        Ok(_) => return None,
    };
    Some(format!("three commands in one write: {what}{announced}"))
}

fn rset_refused(seen: &Seen<'_>) -> Option<String> {
    Some(format!("RSET is refused: {}", quote(seen.evidence.refused(Item::Rset)?.line().as_bytes())))
}

fn has_last(seen: &Seen<'_>) -> Option<String> {
    Some(format!("LAST is answered {}", quote(seen.evidence.ok(Item::Last)?.line().as_bytes())))
}

/// What became of QUIT after a session, not after a login that was refused.
fn quit<'a>(seen: &Seen<'a>) -> Option<&'a Error> {
    seen.evidence.event(Item::Stat)?;
    seen.evidence.error(Item::Quit)
}

fn no_answer(seen: &Seen<'_>) -> Option<String> {
    let error = quit(seen)?;
    error.is_io().then(|| "the connection ends without an answer to QUIT".to_owned())
}

fn refused(seen: &Seen<'_>) -> Option<String> {
    Some(format!("QUIT is refused: {}", quote(seen.evidence.refused(Item::Quit)?.line().as_bytes())))
}

fn silent(seen: &Seen<'_>) -> Option<String> {
    let error = quit(seen)?;
    error.is_timeout().then(|| "QUIT has no answer, and the connection stays open".to_owned())
}
