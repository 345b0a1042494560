//! What went wrong, told in three parts: what happened, what is safe, what to do next; and the exit code for it.
//!
//! The one place that knows what the library's errors mean to a person.

use std::fmt;
use std::process::ExitCode;

use popwire::Error;
use popwire::proto::sasl::Error as Sasl;
use popwire::proto::{ArgumentError, Error as Proto};
use popwire_retriever::{Cause, Deletion, DeliveryError, LedgerError, Stopped, Summary};

use crate::providers;
use crate::text;

mod tls;

/// The exit codes: those of sysexits.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Ok = 0,
    Usage = 64,
    Data = 65,
    Unavailable = 69,
    Software = 70,
    CannotCreate = 73,
    Io = 74,
    Temporary = 75,
    Protocol = 76,
    NoPermission = 77,
    Configuration = 78,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        self as u8
    }
}

impl Exit {
    /// One that was written down.
    pub(crate) fn from_code(code: u8) -> Self {
        const ALL: [Exit; 11] = [
            Exit::Ok,
            Exit::Usage,
            Exit::Data,
            Exit::Unavailable,
            Exit::Software,
            Exit::CannotCreate,
            Exit::Io,
            Exit::Temporary,
            Exit::Protocol,
            Exit::NoPermission,
            Exit::Configuration,
        ];
        ALL.into_iter().find(|exit| exit.code() == code).unwrap_or(Self::Software)
    }

    /// The one that tells more of what has to be done: nothing to do is the least, and what may pass by itself comes next.
    pub(crate) fn worse(self, other: Self) -> Self {
        let weight = |exit: Self| match exit {
            Self::Ok => 0,
            Self::Temporary => 1,
            exit => exit.code(),
        };
        if weight(other) > weight(self) { other } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// An error as a person reads it.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) exit: Exit,
    /// The account of the configuration that it is about.
    pub(crate) account: Option<String>,
    /// What happened; without a full stop.
    pub(crate) what: String,
    /// What is safe, and what to do next; sentences.
    pub(crate) advice: String,
}

impl Problem {
    pub(crate) fn new(exit: Exit, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { exit, account: None, what: what.into(), advice: advice.into() }
    }

    /// About this account, if it is one of the configuration: there may be others.
    pub(crate) fn of(self, account: Option<&String>) -> Self {
        Self { account: account.cloned().or(self.account), ..self }
    }

    /// What happened, as a sentence. The words of a server or a system may bring a full stop of their own.
    pub(crate) fn sentence(&self) -> String {
        let account = self.account.as_ref().map(|account| format!("{account}: ")).unwrap_or_default();
        format!("{account}{}.", self.what.trim_end_matches('.'))
    }

    pub(crate) fn usage(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what, advice)
    }

    pub(crate) fn configuration(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(Exit::Configuration, what, advice)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Problem {}

/// How far a session had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Up to the greeting and TLS. The password was not sent.
    Connecting,
    SigningIn,
    /// Signed in.
    Working,
}

const UNTOUCHED: &str = "Nothing was lost or deleted.";
const UNSENT: &str = "Password not sent.";

/// A session that failed before it did anything to the mail.
pub(crate) fn session(error: &Error, host: &str, stage: Stage) -> Problem {
    explain(error, host, stage, if stage == Stage::Connecting { UNSENT } else { UNTOUCHED })
}

/// A run that was stopped: what was delivered before is safe. `place` is where it is.
pub(crate) fn stopped(stopped: &Stopped, host: &str, place: &str) -> Problem {
    let safe = progress_made(&stopped.summary, place);
    let cause = stopped.cause.to_string();
    match &stopped.cause {
        Cause::Session(error) => explain(error, host, Stage::Working, &safe),
        Cause::Destination(error) => {
            let mut problem = destination(error);
            problem.exit = Exit::Io;
            problem.advice = format!("{safe} {}", problem.advice);
            problem
        }
        Cause::Connect(error) => match error.downcast_ref::<Problem>() {
            Some(problem) if stopped.summary.sessions == 0 => problem.clone(),
            Some(problem) => Problem { advice: format!("{safe} {}", problem.advice), ..problem.clone() },
            None => Problem::new(Exit::Software, cause, safe),
        },
        Cause::Ledger(error) => {
            let problem = ledger(error);
            Problem { advice: format!("{safe} {}", problem.advice), ..problem }
        }
        Cause::Unrecognisable => Problem::new(
            Exit::Protocol,
            format!("{host}: {cause}"),
            format!(
                "{safe} What stays on such a server would be fetched again with every run, so nothing was fetched. With \
                 --delete it works: each message is deleted as soon as it is safe here."
            ),
        ),
        Cause::Renumbered { octets, .. } => {
            let size = octets.map(|octets| format!("{} ", text::size(octets))).unwrap_or_default();
            Problem::new(
                Exit::Data,
                format!("{host}: {cause}"),
                format!(
                    "Stopped before downloading {size}again. {safe} Is it the right mailbox? To fetch what is there, as new \
                     mail where it is not the same: --accept-new-ids"
                ),
            )
        }
        Cause::Interrupted => Problem::new(
            Exit::Temporary,
            "interrupted",
            format!("{safe} The next run goes on where this one ended."),
        ),
        _ => Problem::new(Exit::Software, cause, safe),
    }
}

/// A ledger that cannot be used.
pub(crate) fn ledger(error: &LedgerError) -> Problem {
    let what = match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    if error.is_locked() {
        return Problem::new(
            Exit::Temporary,
            what,
            "Nothing was done. Let that one finish, then run it again.",
        );
    }
    if error.is_busy() {
        return Problem::new(
            Exit::Temporary,
            what,
            "Another process holds it for too long. Try again later.",
        );
    }
    if error.is_disk_full() {
        return Problem::new(Exit::Io, what, "Make room there, then run it again.");
    }
    if error.is_newer() {
        return Problem::new(Exit::Data, what, "Use that popwire, or another ledger: --state DIR");
    }
    Problem::new(
        Exit::Data,
        what,
        "It was left as it is. Is the path right, and may you write there? Another place: --state DIR",
    )
}

/// Deletions that the server did not confirm; `None` if there is nothing to worry about.
pub(crate) fn deletion(summary: &Summary, host: &str) -> Option<Problem> {
    let (what, next) = match &summary.deletion {
        Deletion::Refused { messages, reply } => (
            format!("{host} did not delete all of the {messages} messages that it had marked: {reply}"),
            "What it kept is deleted the next time, and not fetched again.",
        ),
        Deletion::Unknown { messages, error } => (
            match error {
                Some(error) => {
                    format!("whether {host} deleted the {messages} messages is not known: {error}")
                }
                None => format!("whether {host} deleted the {messages} messages is not known"),
            },
            "What it did not delete is deleted the next time, and not fetched again.",
        ),
        _ if !summary.not_marked.is_empty() => (
            format!("{host} refused to delete {} of the messages", summary.not_marked.len()),
            "They are not fetched again. Is the mailbox read-only, or open elsewhere?",
        ),
        _ => return None,
    };
    Some(Problem::new(Exit::Temporary, what, format!("All of them are safe here. {next}")))
}

/// A Maildir that cannot be used.
pub(crate) fn destination(error: &DeliveryError) -> Problem {
    let what = words(error);
    match error {
        DeliveryError::NotAMaildir { .. } => {
            Problem::new(Exit::CannotCreate, what, "Name an empty folder, a new one, or a Maildir.")
        }
        DeliveryError::DiskFull { .. } => Problem::new(Exit::Io, what, "Make room there, then run it again."),
        DeliveryError::Permission { .. } => Problem::new(
            Exit::CannotCreate,
            what,
            "Name a folder that you may write to, or have its owner let you.",
        ),
        _ => Problem::new(Exit::CannotCreate, what, "Is the path right, and the disk in order?"),
    }
}

fn explain(error: &Error, host: &str, stage: Stage, safe: &str) -> Problem {
    let problem = |exit, what: String, next: &str| Problem::new(exit, what, format!("{safe} {next}"));
    let said = format!("{host}: {error}");
    if let Some(trouble) = error.tls_problem() {
        let (what, next) = tls::told(error, trouble, host);
        return problem(Exit::Unavailable, what, &next);
    }
    if error.is_server_untrusted() {
        return problem(
            Exit::Unavailable,
            said,
            "The password itself was not sent. Either somebody stands in between, or this is not the server that it \
             should be: do not go on before its operator was asked.",
        );
    }
    if let Some(source) = std::error::Error::source(error).filter(|_| error.is_provider()) {
        let safe = if error.attempts().is_empty() { "Nothing was sent." } else { safe };
        let advice = format!("{safe} Try the command by itself, with sh -c.");
        return Problem::new(Exit::Configuration, source.to_string(), advice);
    }
    if error.is_no_method() {
        return problem(
            Exit::NoPermission,
            said,
            "If the server has a mechanism and does not say so, name it: --auth MECH (for a token XOAUTH2 or OAUTHBEARER).",
        );
    }
    if error.is_in_use() {
        let code = error.reply().map(ToString::to_string).unwrap_or_default();
        let what = format!("{host} is busy: another program is reading this mailbox ({code})");
        return problem(Exit::Temporary, what, "This is not a password problem; try again in a few minutes.");
    }
    if error.is_login_delay() {
        return problem(
            Exit::Temporary,
            said,
            "This is not a password problem; the server wants a pause between two sessions. Try again in a few minutes.",
        );
    }
    if error.is_temporary() {
        return problem(
            Exit::Temporary,
            said,
            "This is a trouble of the server's that should pass; try again later.",
        );
    }
    if error.is_permanent() {
        return problem(
            Exit::Unavailable,
            said,
            providers::hint(host)
                .unwrap_or("Trying again will not help: the server wants its operator to look."),
        );
    }
    if error.is_tls_required() {
        return problem(Exit::NoPermission, said, "Write pops://, or pop:// without --insecure-plaintext.");
    }
    if error.is_method_refused() {
        return problem(
            Exit::NoPermission,
            said,
            "The password was not looked at. Without --auth the strongest way that the server offers is taken.",
        );
    }
    if error.is_authentication()
        && let Some(hint) = providers::hint(host)
    {
        return problem(Exit::NoPermission, said, hint);
    }
    let by_token = error.attempts().last().is_some_and(|attempt| attempt.is_token());
    if error.is_authentication() && by_token {
        let told = error.attempts().iter().any(|attempt| attempt.oauth.is_some());
        let next = if told {
            "The server does not take this token: has it expired, and has it the scope for POP3? Sign in anew with the \
             program that it comes from."
        } else {
            "The token may be right all the same: is POP3 allowed for this mailbox, and is the user's name the address of \
             the mailbox?"
        };
        return problem(Exit::NoPermission, said, next);
    }
    let scram = |attempt: &popwire::Attempt| attempt.method.name().starts_with("SCRAM");
    if error.is_authentication() && error.attempts().last().is_some_and(|last| scram(last) && !last.proved) {
        return problem(
            Exit::NoPermission,
            said,
            "The password was not looked at. Check the user name (often it is the whole mail address); if it is right, the \
             server may keep the password in a form that SCRAM cannot use: --auth PLAIN.",
        );
    }
    if error.is_authentication() {
        return problem(
            Exit::NoPermission,
            said,
            "Check the user name (often it is the whole mail address) and the password; many providers want an app \
             password, and POP3 to be allowed in their settings.",
        );
    }
    if error.is_policy() {
        let next = if error.is_login_in_the_clear() {
            "Write pops://, or pop:// without --insecure-plaintext."
        } else {
            "Some servers take UTF-8 without saying so: --utf8-login sends it; --latin1-password sends Latin-1."
        };
        return problem(Exit::NoPermission, said, next);
    }
    if let Some(sasl) = error.sasl() {
        let nothing_sent = error.attempts().iter().all(|attempt| attempt.reply.is_none());
        let next = match sasl {
            Sasl::Other(_) => "For GSSAPI, get a ticket first: kinit.",
            _ => "Another mechanism may work: --auth MECH. With -vv you see the conversation.",
        };
        return problem(if nothing_sent { Exit::Configuration } else { Exit::Protocol }, said, next);
    }
    if error.is_timeout() {
        return match stage {
            Stage::Connecting => {
                problem(Exit::Unavailable, said, "Check the host, the port and the network.")
            }
            _ => problem(Exit::Temporary, said, "Try again later; --timeout SECS waits longer."),
        };
    }
    if error.is_io() {
        return match stage {
            Stage::Connecting => {
                problem(Exit::Unavailable, said, "Check the host, the port and the network.")
            }
            _ => problem(Exit::Temporary, said, "Try again later."),
        };
    }
    if error.is_misuse() {
        let exit = if matches!(error.protocol(), Some(Proto::Argument(ArgumentError::NoTimestamp))) {
            Exit::NoPermission
        } else {
            Exit::Configuration
        };
        let next =
            if exit == Exit::NoPermission { "Sign in without --auth APOP." } else { "Check what was given." };
        return problem(exit, said, next);
    }
    if error.is_refused() {
        return match stage {
            Stage::Connecting => {
                problem(Exit::Unavailable, said, "Try again later, or ask the server's operator.")
            }
            Stage::SigningIn if by_token => problem(
                Exit::NoPermission,
                said,
                "The server does not say that the token is wrong; its words above are all that is known.",
            ),
            Stage::SigningIn => problem(
                Exit::NoPermission,
                said,
                "The server does not say that the password is wrong; its words above are all that is known. Another way to \
                 sign in may help: --auth MECH.",
            ),
            Stage::Working => problem(Exit::Protocol, said, "With -vv you see the whole conversation."),
        };
    }
    match error.protocol() {
        Some(Proto::Abandoned) => problem(
            Exit::Temporary,
            said,
            "Run it again: the message before could not be stored, and what was left of it was too long to skip.",
        ),
        Some(Proto::NotPop3(_)) => problem(Exit::Protocol, said, "Check the host and the port."),
        _ => problem(
            Exit::Protocol,
            said,
            "The server does not keep to the protocol. With -vv you see the whole conversation.",
        ),
    }
}

fn progress_made(summary: &Summary, place: &str) -> String {
    if summary.delivered == 0 {
        return UNTOUCHED.to_owned();
    }
    let delivered = format!("{} of {} messages are safe in {place}", summary.delivered, summary.listed);
    match &summary.deletion {
        _ if summary.deleted > 0 => {
            format!("{delivered}, {} of them deleted on the server.", summary.deleted)
        }
        Deletion::Committed { messages } => format!("{delivered}, {messages} of them deleted on the server."),
        Deletion::NoneMarked => format!("{delivered}; nothing was deleted."),
        Deletion::Refused { messages, .. } | Deletion::Unknown { messages, .. } => format!(
            "{delivered}. {messages} were marked for deletion; whether the server deleted them, the next run finds out."
        ),
        _ => format!("{delivered}."),
    }
}

/// The error and the system's words for it.
fn words(error: &DeliveryError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
