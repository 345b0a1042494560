//! The report for people: sections of aligned lines, the findings last.

use std::io;
use std::time::{Duration, SystemTime};

use anstyle::{AnsiColor, Style};
use popwire::Certificate;
use popwire::Security;
use popwire::probe::{Check, Finding, Outcome, Report};

use super::object::{lines, mechanisms};
use crate::output::Output;
use crate::settings::Account;
use crate::text::{self, wrap};

const HEADING: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const ODD: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Yellow.on_default();
const FAINT: Style = Style::new().dimmed();

/// The column in which what is told of a thing begins.
const INDENT: usize = 16;
/// Certificates end sooner than people think.
const SOON: i64 = 14;
/// More names of a certificate do not help.
const NAMES: usize = 6;

/// Writes a report.
pub(super) struct Screen<'a> {
    output: &'a mut Output,
    columns: usize,
}

impl<'a> Screen<'a> {
    pub(super) fn new(output: &'a mut Output) -> Self {
        // In a pipe, as on the terminals of old; wider lines are hard to read everywhere.
        let columns =
            if output.stdout_is_terminal() { text::columns(&io::stdout()).clamp(40, 100) } else { 80 };
        Self { output, columns }
    }

    pub(super) fn show(&mut self, report: &Report, account: &Account) {
        self.connection(report, account);
        self.capabilities(report);
        self.checks(report);
        self.findings(report);
    }

    fn connection(&mut self, report: &Report, account: &Account) {
        self.heading(&account.name, true);
        let security = match report.security {
            Security::Tls => "TLS from the first octet",
            Security::Stls => "STLS",
            _ => "no TLS",
        };
        self.row(
            "server",
            &format!("{}, port {}, {security}", account.host(), account.connector.effective_port()),
        );
        if let Some(greeting) = &report.greeting {
            self.row("greeting", &greeting.to_string());
        }
        if let Some(tls) = &report.tls {
            let verified = if tls.verified { "verified" } else { "NOT verified" };
            self.row("TLS", &format!("{}, {}, {verified}", tls.version, tls.cipher_suite));
        }
        if let Some(certificate) = &report.certificate {
            self.certificate(certificate);
        }
        if let Some(method) = report.logged_in_by {
            let time = report.login_time.map(|time| format!(" in {}", short(time))).unwrap_or_default();
            self.row("signed in", &format!("by {method}{time}"));
        }
        if let Some(count) = report.messages {
            let octets = report.octets.map(|octets| format!(", {}", text::size(octets))).unwrap_or_default();
            self.row("mailbox", &format!("{}{octets}", text::messages(count)));
        }
        if let Some(time) = report.round_trip {
            self.row("round trip", &short(time));
        }
        if report.connections > 1 {
            self.row("connections", &report.connections.to_string());
        }
    }

    fn certificate(&mut self, certificate: &Certificate) {
        if !certificate.subject.is_empty() {
            self.row("certificate", &certificate.subject);
        }
        let more = certificate.names.len().saturating_sub(NAMES);
        let mut names: Vec<_> = certificate.names.iter().take(NAMES).cloned().collect();
        if more > 0 {
            names.push(format!("and {more} more"));
        }
        self.row("for", &if names.is_empty() { "no host".to_owned() } else { names.join(", ") });
        self.row("issued by", &certificate.issuer);
        let date = text::day(certificate.not_after);
        let left = match certificate.days_left(SystemTime::now()) {
            days @ ..0 => format!("{ODD}expired {date}, {} ago{ODD:#}", days_in_words(-days)),
            days @ 0..SOON => format!("until {date}, {ODD}{} left{ODD:#}", days_in_words(days)),
            days => format!("until {date}, {} left", days_in_words(days)),
        };
        self.row("valid", &left);
        self.row("key", &certificate.key);
    }

    /// What is announced at every stage, and what at one of them only.
    fn capabilities(&mut self, report: &Report) {
        let stages = &report.capabilities;
        let asked: Vec<_> = [
            ("before TLS", &stages.before_tls),
            ("before login", &stages.before_login),
            ("after login", &stages.after_login),
        ]
        .into_iter()
        .filter_map(|(when, stage)| Some((when, lines(stage.as_ref()?))))
        .collect();
        let Some((first, others)) = asked.split_first() else { return };
        self.heading("Capabilities", false);
        let everywhere = |line: &String| others.iter().all(|(_, stage)| stage.contains(line));
        let always: Vec<_> = first.1.iter().filter(|line| everywhere(line)).cloned().collect();
        let when = if others.is_empty() { first.0 } else { "always" };
        if !always.is_empty() {
            self.row(when, &always.join(", "));
        }
        for (when, stage) in asked.iter().filter(|_| !others.is_empty()) {
            let only: Vec<_> = stage.iter().filter(|line| !always.contains(line)).cloned().collect();
            let only = if only.is_empty() { "nothing more".to_owned() } else { only.join(", ") };
            self.row(when, &only);
        }
        let mechanisms = mechanisms(report);
        if !mechanisms.is_empty() {
            self.row("mechanisms", &mechanisms.join(", "));
        }
    }

    fn checks(&mut self, report: &Report) {
        if report.checks.iter().all(|check| check.outcome == Outcome::Untried) {
            return;
        }
        self.heading("What was tried", false);
        for check in report.checks.iter().filter(|check| check.outcome != Outcome::Untried) {
            let ids: Vec<_> = report
                .findings
                .iter()
                .filter(|finding| finding.subject == check.subject)
                .map(|finding| finding.deviation)
                .collect();
            self.check(check, &ids);
        }
        let untried = report.checks.iter().filter(|check| check.outcome == Outcome::Untried);
        let untried: Vec<_> = untried.map(|check| check.subject.name()).collect();
        if !untried.is_empty() {
            self.row("not tried", &untried.join(", "));
        }
    }

    fn check(&mut self, check: &Check, ids: &[&str]) {
        let (style, mark) = match check.outcome {
            Outcome::Good => (GOOD, "ok"),
            Outcome::Odd => (ODD, "odd"),
            _ => (FAINT, "-"),
        };
        let name = check.subject.name();
        let line = format!("  {name:<0$}{style}{mark:<5}{style:#}{1}", INDENT - 2, check.seen);
        if ids.is_empty() {
            return self.output.line(&line);
        }
        let ids = ids.join(" ");
        let used = INDENT + 5 + check.seen.chars().count() + 2 + ids.len();
        let gap = if used > self.columns { format!("\n{:1$}", "", INDENT + 5) } else { "  ".to_owned() };
        self.output.line(&format!("{line}{gap}{ODD}{ids}{ODD:#}"));
    }

    fn findings(&mut self, report: &Report) {
        self.heading("Findings", false);
        let (hints, faults): (Vec<_>, Vec<_>) = report.findings.iter().partition(|finding| finding.hint);
        faults.iter().for_each(|fault| self.finding(fault, ODD));
        let odd = report.checks.iter().any(|check| check.outcome == Outcome::Odd);
        if faults.is_empty() {
            self.output.line(&match (&report.error, odd) {
                (Some(_), _) => "  nothing found as far as it went".to_owned(),
                (None, true) => "  none of the known deviations; what is odd stands above".to_owned(),
                (None, false) => format!("  {GOOD}nothing found{GOOD:#}"),
            });
        }
        if !hints.is_empty() {
            self.heading("No fault, but worth knowing", false);
            hints.iter().for_each(|hint| self.finding(hint, HINT));
        }
    }

    fn finding(&mut self, finding: &Finding, style: Style) {
        let Finding { deviation, seen, consequence, .. } = finding;
        // An id is six columns wide, and two stand around it.
        let indent = " ".repeat(9);
        let seen = wrap(seen, self.columns, &indent);
        self.output.line(&format!("  {style}{deviation}{style:#}  {}", seen.trim_start()));
        let does = wrap(&format!("popwire {consequence}"), self.columns, &indent);
        for line in does.lines() {
            self.output.line(&format!("{FAINT}{line}{FAINT:#}"));
        }
    }

    fn heading(&mut self, heading: &str, first: bool) {
        if !first {
            self.output.line("");
        }
        self.output.line(&format!("{HEADING}{heading}{HEADING:#}"));
    }

    fn row(&mut self, name: &str, told: &str) {
        let told = wrap(told, self.columns, &" ".repeat(INDENT));
        self.output.line(&format!("  {name:<0$}{1}", INDENT - 2, told.trim_start()));
    }
}

fn days_in_words(days: i64) -> String {
    if days == 1 { "1 day".to_owned() } else { format!("{days} days") }
}

/// A time of milliseconds and less with as many digits as it is worth.
fn short(time: Duration) -> String {
    match time.as_micros() {
        ..100 => "less than 0.1 ms".to_owned(),
        micros @ ..10_000 => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
        _ => text::duration(time),
    }
}
