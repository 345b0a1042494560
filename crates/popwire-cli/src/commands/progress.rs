//! What a retrieval shows while it goes on: a bar, lines, or events.

use std::io;
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use popwire::Error;
use popwire_retriever::maildir::Delivered;
use popwire_retriever::{Failure, Listed, Listing, Observer};
use serde::Serialize;

use crate::output::{Output, Verbosity};
use crate::text;

/// Shows what happens to whoever wants to see it.
#[derive(Debug)]
pub(crate) struct Progress<'a> {
    account: &'a str,
    output: &'a mut Output,
    limit: usize,
    bar: ProgressBar,
    /// The messages that are to be fetched.
    messages: usize,
    begun: usize,
    /// The octets of the messages before this one, by the server's count.
    before: u64,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(account: &'a str, limit: Option<usize>, output: &'a mut Output) -> Self {
        let limit = limit.unwrap_or(usize::MAX);
        Self { account, output, limit, bar: ProgressBar::hidden(), messages: 0, begun: 0, before: 0 }
    }

    /// A line on stderr that does not tear the bar.
    fn warn(&mut self, line: &str) {
        let Self { bar, output, .. } = self;
        bar.suspend(|| output.warn(line));
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        // However the run ended: what is said next must not stand beside half a bar.
        self.bar.finish_and_clear();
    }
}

impl Observer for Progress<'_> {
    fn opened(&mut self, listing: &Listing) {
        if listing.unreadable > 0 {
            let lines = listing.unreadable;
            self.warn(&format!(
                "{lines} lines of the server's listing make no sense; a message may be missing"
            ));
        }
        let wanted = listing.messages.get(..self.limit).unwrap_or(&listing.messages);
        let octets: u64 = wanted.iter().filter_map(|listed| listed.octets).fold(0, u64::saturating_add);
        self.messages = wanted.len();
        self.output.event(&Event {
            messages: Some(wanted.len()),
            size: Some(octets),
            ..Event::new("opened", self.account)
        });
        if self.output.shows_progress() && self.messages > 0 {
            self.bar = bar(self.account, octets);
        }
    }

    fn begun(&mut self, _: &Listed) {
        self.begun += 1;
        self.bar.set_message(format!("{}/{}", self.begun, self.messages));
    }

    fn progress(&mut self, message: &Listed, octets: u64) {
        // Servers count line ends as they like: a message must not run into the share of the next.
        self.bar.set_position(self.before + octets.min(message.octets.unwrap_or(0)));
    }

    fn delivered(&mut self, message: &Listed, delivered: &Delivered) {
        self.before += message.octets.unwrap_or(0);
        self.bar.set_position(self.before);
        let path = delivered.path.display();
        let line = format!("{}: {} in {path}", title(message), text::size(delivered.octets));
        self.output.note(Verbosity::Messages, &line);
        self.output.event(&Event {
            size: Some(delivered.octets),
            dest: Some(&delivered.path),
            ..Event::about("delivered", self.account, message)
        });
    }

    fn failed(&mut self, failure: &Failure) {
        self.before += failure.message.octets.unwrap_or(0);
        self.bar.set_position(self.before);
        let size =
            failure.message.octets.map(|octets| format!(", {}", text::size(octets))).unwrap_or_default();
        let Failure { message, cause, .. } = failure;
        self.warn(&format!("{}{size}: not delivered, left on the server: {cause}", title(message)));
        self.output.event(&Event {
            size: message.octets,
            reason: Some(cause.to_string()),
            ..Event::about("failed", self.account, message)
        });
    }

    fn marked(&mut self, message: &Listed) {
        self.output.event(&Event::about("marked", self.account, message));
    }

    fn not_marked(&mut self, message: &Listed, error: &Error) {
        self.warn(&format!("{}: delivered, but not deleted: {error}", title(message)));
        self.output.event(&Event {
            reason: Some(error.to_string()),
            ..Event::about("not_marked", self.account, message)
        });
    }
}

fn title(message: &Listed) -> String {
    match &message.uid {
        Some(uid) => format!("message {} (uid {uid})", message.number),
        None => format!("message {}", message.number),
    }
}

fn bar(account: &str, octets: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(&template(account, octets, text::columns(&io::stderr())))
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(Some(octets), ProgressDrawTarget::stderr());
    bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏░"));
    bar.set_prefix(account.to_owned());
    bar
}

/// What fits on one line: a bar that is broken over two cannot be redrawn.
fn template(account: &str, octets: u64, columns: usize) -> String {
    /// The counts, the rate and the time left, at their longest, with their gaps.
    const NUMBERS: usize = 66;
    let numbers = "{msg}  {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  eta {eta}";
    let left = columns.saturating_sub(account.chars().count() + NUMBERS);
    match left {
        // Where no size is known there is nothing to measure, and the count of messages has to do.
        _ if octets == 0 => "{prefix}  {msg}".to_owned(),
        5.. => format!("{{prefix}}  {{bar:{}}}  {numbers}", left.min(25)),
        _ if columns >= NUMBERS => numbers.to_owned(),
        _ => "{msg}  eta {eta}".to_owned(),
    }
}

/// An object of `--json`.
#[derive(Debug, Serialize)]
struct Event<'a> {
    event: &'static str,
    account: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dest: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl<'a> Event<'a> {
    fn new(event: &'static str, account: &'a str) -> Self {
        let (messages, number, uid, size, dest, reason) = (None, None, None, None, None, None);
        Self { event, account, messages, number, uid, size, dest, reason }
    }

    fn about(event: &'static str, account: &'a str, message: &Listed) -> Self {
        let uid = message.uid.as_ref().map(ToString::to_string);
        Self { number: Some(message.number), uid, ..Self::new(event, account) }
    }
}
