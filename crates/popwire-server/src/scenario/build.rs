//! From keys to a builder.

use std::collections::BTreeSet;
use std::path::Path;

use toml::Spanned;

use super::error::Wrong;
use super::file::{self, Then};
use crate::{Answer, Builder, Certificate, Content, FaultPlan, Maildrop, Message, Server};

/// How long the lines of a message are of which only the size is said.
const LINE_LEN: u64 = 76;

pub(super) fn builder(file: file::Scenario, directory: &Path) -> Result<Builder, Wrong> {
    let mut builder = Server::builder();
    // A personality first: what else is said changes it.
    if let Some(name) = &file.personality {
        builder = builder.personality(name.get_ref()).map_err(|error| Wrong::new(name, error))?;
    }
    for quirk in &file.quirks {
        builder = builder.quirk(quirk.get_ref()).map_err(|error| Wrong::new(quirk, error))?;
    }
    for fault in &file.faults {
        let plan: FaultPlan = fault.get_ref().parse().map_err(|error| Wrong::new(fault, error))?;
        builder = builder.fault_plan(plan);
    }
    builder = set(builder, file.seed.map(FaultPlan::from_seed), Builder::fault_plan);
    builder = set(builder, file.listen, Builder::listen);
    builder = set(builder, file.listen_tls, Builder::listen_tls);
    builder = set(builder, file.greeting.map(|line| format!("{line}\r\n")), Builder::greeting);
    builder = set(builder, file.apop, Builder::apop);
    builder = set(builder, file.capa, Builder::capa);
    builder = set(builder, file.utf8, Builder::utf8);
    builder = set(builder, file.last, Builder::last);
    builder = set(builder, file.verbatim, Builder::verbatim);
    builder = set(builder, file.delete_at_disconnect, Builder::delete_at_disconnect);
    builder = set(builder, file.tls.certificate.map(certificate), Builder::certificate);
    builder = set(builder, file.tls.stls, Builder::stls);
    builder = set(builder, file.tls.require_tls, Builder::require_tls);
    builder = set(builder, file.tls.tls12_only, Builder::tls12_only);
    builder = set(builder, file.sasl.anonymous, Builder::anonymous);
    builder = set(builder, file.sasl.iterations, Builder::scram_iterations);
    builder = set(builder, file.limits.connections, Builder::max_connections);
    builder = set(builder, file.limits.auth_line, Builder::auth_line_max);
    builder = set(builder, file.timers.idle, Builder::idle_timeout);
    builder = set(builder, file.timers.write, Builder::write_timeout);
    if let Some(lines) = file.capabilities {
        builder = builder.capability_lines(lines.before_login, lines.after_login);
    }
    if !file.sasl.mechanisms.is_empty() {
        builder = builder.sasl(file.sasl.mechanisms.into_iter().map(|mechanism| mechanism.0));
    }
    if !file.sasl.hidden.is_empty() {
        builder = builder.sasl_hidden(file.sasl.hidden.into_iter().map(|mechanism| mechanism.0));
    }
    for answer in file.answer {
        builder = script(builder, answer)?;
    }
    users(builder, file.user, directory)
}

/// Calls the method if there is something to set.
fn set<T>(builder: Builder, value: Option<T>, method: impl FnOnce(Builder, T) -> Builder) -> Builder {
    match value {
        Some(value) => method(builder, value),
        None => builder,
    }
}

fn users(mut builder: Builder, users: Vec<file::User>, directory: &Path) -> Result<Builder, Wrong> {
    let mut names = BTreeSet::new();
    for user in users {
        let name = user.name.get_ref();
        if !names.insert(name.clone()) {
            return Err(Wrong::new(&user.name, format_args!("there is a user \"{name}\" already")));
        }
        let maildrop = maildrop(&user, directory)?;
        builder = builder.user(name, &user.password, maildrop);
        if let Some(token) = &user.token {
            builder = builder.token(name, token);
        }
    }
    Ok(builder)
}

fn maildrop(user: &file::User, directory: &Path) -> Result<Maildrop, Wrong> {
    match (&user.maildir, &user.mbox, &user.messages) {
        (None, None, None) => Ok(Maildrop::empty()),
        (Some(path), None, None) => {
            let root = directory.join(path.get_ref());
            match root.metadata() {
                Ok(found) if found.is_dir() => Ok(Maildrop::maildir(root)),
                Ok(_) => Err(Wrong::new(path, format_args!("{} is no directory", root.display()))),
                Err(error) => Err(Wrong::unreadable(path, &root, error)),
            }
        }
        (None, Some(path), None) => Ok(Maildrop::mbox(directory.join(path.get_ref()))),
        (None, None, Some(messages)) => {
            let messages = messages.iter().map(|message| self::message(message, directory));
            Ok(Maildrop::memory(messages.collect::<Result<Vec<_>, _>>()?))
        }
        _ => Err(Wrong::new(&user.name, "a user has one of maildir, mbox and messages")),
    }
}

fn message(spanned: &Spanned<file::Message>, directory: &Path) -> Result<Message, Wrong> {
    let read = |path: &Path| {
        let path = directory.join(path);
        std::fs::read(&path).map_err(|error| Wrong::unreadable(spanned, &path, error))
    };
    let table = match spanned.get_ref() {
        file::Message::File(path) => return read(path).map(Message::new),
        file::Message::Table(table) => table,
    };
    let content = match (&table.file, &table.text, table.size) {
        (Some(path), None, None) => Content::from(read(path)?),
        (None, Some(text), None) => Content::from(text.as_str()),
        (None, None, Some(size)) => Content::Generated { size, line_len: table.line_len.unwrap_or(LINE_LEN) },
        _ => return Err(Wrong::new(spanned, "a message has one of file, text and size")),
    };
    if table.line_len.is_some() && table.size.is_none() {
        return Err(Wrong::new(spanned, "line_len is for messages with a size"));
    }
    let message = Message::new(content).seen(table.seen);
    Ok(match &table.unique_id {
        Some(unique_id) => message.unique_id(unique_id),
        None => message,
    })
}

fn script(builder: Builder, spanned: Spanned<file::Answer>) -> Result<Builder, Wrong> {
    if spanned.get_ref().nth.is_some() && spanned.get_ref().nth_overall.is_some() {
        return Err(Wrong::new(&spanned, "an answer has nth or nth_overall, not both"));
    }
    let file = spanned.into_inner();
    let mut answer = Answer::raw(file.send);
    if let Some(delay) = file.after {
        answer = answer.after(delay);
    }
    if let Some(nth) = file.nth {
        answer = answer.nth(nth);
    }
    if let Some(nth) = file.nth_overall {
        answer = answer.nth_overall(nth);
    }
    if file.and_do {
        answer = answer.and_do();
    }
    answer = match file.then {
        None => answer,
        Some(Then::Close) => answer.then_close(),
        Some(Then::HalfClose) => answer.then_half_close(),
        Some(Then::Cut) => answer.then_cut(),
        Some(Then::Reset) => answer.then_reset(),
        Some(Then::Hang) => answer.then_hang(),
    };
    Ok(builder.script(&file.command, answer))
}

fn certificate(name: file::Certificate) -> Certificate {
    match name {
        file::Certificate::Good => Certificate::Good,
        file::Certificate::WrongName => Certificate::WrongName,
        file::Certificate::Wildcard => Certificate::Wildcard,
        file::Certificate::CommonNameOnly => Certificate::CommonNameOnly,
        file::Certificate::Expired => Certificate::Expired,
        file::Certificate::UnknownCa => Certificate::UnknownCa,
        file::Certificate::SelfSigned => Certificate::SelfSigned,
    }
}
