//! What a retrieval shows while it goes on: a bar, lines, or events.

use std::io;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use popwire::Error;
use popwire_retriever::{Action, Cause, Delivered, Failure, Listed, Notice, Observer, Plan};
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use crate::output::{Output, Verbosity};
use crate::text;

/// Shows what happens to whoever wants to see it.
#[derive(Debug)]
pub(crate) struct Progress<'a> {
    account: &'a str,
    output: &'a mut Output,
    bar: ProgressBar,
    /// The messages that are to be fetched.
    messages: usize,
    begun: usize,
    /// The octets of the messages before this one, by the server's count.
    before: u64,
    dry_run: bool,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(account: &'a str, output: &'a mut Output) -> Self {
        Self { account, output, bar: ProgressBar::hidden(), messages: 0, begun: 0, before: 0, dry_run: false }
    }

    /// Only shows what would be done.
    pub(crate) fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// A message of a dry run.
    fn show(&mut self, listed: &Listed, action: Action) {
        let (what, name) = match action {
            Action::Fetch => ("would be fetched", "fetch"),
            Action::FetchHeader => ("would be fetched, its header only", "fetch-header"),
            Action::Compare => ("would be fetched and compared with what is here", "compare"),
            Action::Delete => ("is here; would be deleted on the server", "delete"),
            Action::Discard => ("would be deleted on the server without being fetched", "discard"),
            Action::Skip => ("would be skipped", "skip"),
            Action::Later => ("would be left for another run", "later"),
            Action::Leave => ("would not be tried again", "leave"),
            _ => ("is here", "keep"),
        };
        let size = listed.octets.map(|octets| format!(", {}", text::size(octets))).unwrap_or_default();
        if action != Action::Keep {
            self.output.report(&format!("{}: {}{size}: {what}", self.account, title(listed)));
        }
        self.output.event(&Event {
            size: listed.octets,
            action: Some(name),
            ..Event::about("would", self.account, listed)
        });
    }

    fn warn(&mut self, line: &str) {
        self.output.warn(line);
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        // However the run ended: what is said next must not stand beside half a bar.
        self.bar.finish_and_clear();
    }
}

impl Observer for Progress<'_> {
    fn planned(&mut self, plan: &Plan) {
        let wanted = || {
            let is_wanted =
                |action: &Action| matches!(action, Action::Fetch | Action::FetchHeader | Action::Compare);
            plan.messages.iter().filter(move |(_, action)| is_wanted(action)).map(|(listed, _)| listed)
        };
        let octets: u64 = wanted().filter_map(|listed| listed.octets).fold(0, u64::saturating_add);
        (self.messages, self.begun, self.before) = (wanted().count(), 0, 0);
        self.output.event(&Event {
            messages: Some(self.messages),
            size: Some(octets),
            ..Event::new("opened", self.account)
        });
        if self.dry_run {
            for (listed, action) in &plan.messages {
                self.show(listed, *action);
            }
        } else if self.output.shows_progress() && self.messages > 0 {
            self.bar =
                self.output.bars().add(bar(self.account, self.output.name_columns(), self.messages, octets));
        }
    }

    fn noticed(&mut self, notice: &Notice) {
        match notice {
            Notice::Unreadable { lines } => self.warn(&format!(
                "{lines} lines of the server's listing make no sense; a message may be missing"
            )),
            Notice::Shrunk { before, now } => self.warn(&format!(
                "{}: the server lists {now} of the {before} messages that it had; nothing is concluded from that",
                self.account
            )),
            Notice::Renumbered { known, recognised } => self.warn(&format!(
                "{}: the server has renumbered its mail; {recognised} of {known} known messages were recognised by their \
                 headers",
                self.account
            )),
            Notice::ByHeader { messages } => {
                let line =
                    format!("the server has no unique-ids for {messages} messages; they are known by their headers");
                self.output.note(Verbosity::Messages, &line);
            }
            Notice::RulesWithoutTop => self.warn(&format!(
                "{}: the server shows no headers (TOP), so that rules about them hold nothing back",
                self.account
            )),
            _ => {}
        }
    }

    fn reconnecting(&mut self, cause: &Cause) {
        self.warn(&format!("{}: {cause}; going on over a new connection", self.account));
    }

    fn recognised(&mut self, message: &Listed) {
        self.before += message.octets.unwrap_or(0);
        self.bar.set_position(self.before);
        let line = format!("{}: is here already", title(message));
        self.output.note(Verbosity::Messages, &line);
        self.output.event(&Event::about("recognised", self.account, message));
    }

    fn begun(&mut self, _: &Listed) {
        self.begun += 1;
        if !self.bar.is_hidden() {
            self.bar.set_message(format!("{}/{}", self.begun, self.messages));
        }
    }

    fn progress(&mut self, message: &Listed, octets: u64) {
        // Servers count line ends as they like: a message must not run into the share of the next.
        self.bar.set_position(self.before + octets.min(message.octets.unwrap_or(0)));
    }

    fn delivered(&mut self, message: &Listed, delivered: &Delivered) {
        self.before += message.octets.unwrap_or(0);
        self.bar.set_position(self.before);
        // There may be a hundred thousand of them, and few people read of each.
        if self.output.verbosity() >= Verbosity::Messages {
            let places = delivered.places.join(", ");
            let line = format!("{}: {} in {places}", title(message), text::size(delivered.octets));
            self.output.note(Verbosity::Messages, &line);
        }
        if self.output.json() {
            self.output.event(&Event {
                size: Some(delivered.octets),
                sha256: Some(delivered.content.iter().map(|octet| format!("{octet:02x}")).collect()),
                dest: Some(&delivered.places),
                ..Event::about("delivered", self.account, message)
            });
        }
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

fn bar(account: &str, names: usize, messages: usize, octets: u64) -> ProgressBar {
    let name = text::fit(account, names.max(account.width()));
    let style =
        ProgressStyle::with_template(&template(name.width(), messages, octets, text::columns(&io::stderr())))
            .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(Some(octets), ProgressDrawTarget::hidden());
    bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏░"));
    bar.set_prefix(name);
    bar
}

/// What fits on one line: a bar that is broken over two cannot be redrawn. The name stays as long as it can, since there may
/// be several bars.
fn template(name: usize, messages: usize, octets: u64, columns: usize) -> String {
    const GAP: usize = 2;
    /// `1023.99 MB/1023.99 MB`.
    const OCTETS: usize = 21 + GAP;
    /// `1023.99 MB/s`.
    const RATE: usize = 12 + GAP;
    /// `eta 59s`.
    const LEFT: usize = 7 + GAP;
    const LEAST: usize = 5;
    let count = 2 * messages.to_string().len() + 1;
    let room = columns.saturating_sub(name + GAP);
    let bar = room.saturating_sub(count + OCTETS + RATE + LEFT + GAP);
    let octets_so_far = "{decimal_bytes}/{decimal_total_bytes}";
    // Where no size is known there is nothing to measure, and the count of messages has to do.
    if octets == 0 {
        "{prefix}  {msg}".to_owned()
    } else if bar >= LEAST {
        let bar = bar.min(25);
        format!("{{prefix}}  {{bar:{bar}}}  {{msg}}  {octets_so_far}  {{decimal_bytes_per_sec}}  eta {{eta}}")
    } else if room >= count + OCTETS + RATE + LEFT {
        format!("{{prefix}}  {{msg}}  {octets_so_far}  {{decimal_bytes_per_sec}}  eta {{eta}}")
    } else if room >= count + OCTETS + LEFT {
        format!("{{prefix}}  {{msg}}  {octets_so_far}  eta {{eta}}")
    } else if room >= count + LEFT {
        "{prefix}  {msg}  eta {eta}".to_owned()
    } else {
        "{msg}  eta {eta}".to_owned()
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
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dest: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl<'a> Event<'a> {
    fn new(event: &'static str, account: &'a str) -> Self {
        let (messages, number, uid, size, sha256) = (None, None, None, None, None);
        Self { event, account, messages, number, uid, size, sha256, dest: None, action: None, reason: None }
    }

    fn about(event: &'static str, account: &'a str, message: &Listed) -> Self {
        let uid = message.uid.as_ref().map(ToString::to_string);
        Self { number: Some(message.number), uid, ..Self::new(event, account) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_goes_and_the_name_goes_last() {
        let parts = |columns| {
            let template = template(14, 400, 1, columns);
            ["{prefix}", "{bar:", "{msg}", "{decimal_bytes}", "_per_sec}", "eta"]
                .map(|part| if template.contains(part) { part.as_bytes()[1] as char } else { '-' })
                .into_iter()
                .collect::<String>()
        };
        assert_eq!(parts(200), "pbmdpt");
        assert_eq!(parts(80), "pbmdpt");
        assert_eq!(parts(70), "p-mdpt");
        assert_eq!(parts(60), "p-md-t");
        assert_eq!(parts(40), "p-m--t");
        assert_eq!(parts(20), "--m--t");
        assert_eq!(template(200, 400, 0, 20), "{prefix}  {msg}");
    }
}
