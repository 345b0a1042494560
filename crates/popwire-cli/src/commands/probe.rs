//! `popwire probe`: what a server does, and what it does wrong.

mod object;
mod screen;

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use popwire::blocking;
use popwire::probe::{ProbeOptions, Report};

use crate::args::ProbeArgs;
use crate::explain::{self, Exit, Problem, Stage};
use crate::output::Output;
use crate::settings::Account;

pub(super) fn run(args: &ProbeArgs, output: &mut Output) -> Result<Exit, Problem> {
    let account = Account::of_mailbox(&args.mailbox, output)?;
    let login = account.login(output)?;
    let bar = spinner(&account.name, output);
    let (shown, steps) = (bar.clone(), output.steps());
    let mut options = ProbeOptions::new().retr(args.retr);
    if let Some(seconds) = args.mailbox.connect.deadline {
        options = options.time(Duration::from_secs(seconds));
    }
    let options = options.on_step(move |doing| {
        shown.set_message(doing.to_owned());
        steps(doing);
    });
    let report = blocking::probe(&account.connector, &login, options);
    bar.finish_and_clear();
    let report = report.map_err(|error| explain::session(&error, account.host(), Stage::Connecting))?;

    if output.json() {
        output.event(&object::Object::of(&report, &account));
    } else {
        screen::Screen::new(output).show(&report, &account);
    }
    match &report.error {
        Some(error) => Err(explain::session(error, account.host(), stage(&report))),
        None => Ok(Exit::Ok),
    }
}

/// How far it came before it ended.
fn stage(report: &Report) -> Stage {
    if report.greeting.is_some() { Stage::SigningIn } else { Stage::Connecting }
}

/// What is being done, for those who wait.
fn spinner(account: &str, output: &Output) -> ProgressBar {
    if !output.shows_progress() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{prefix}  {spinner} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(style);
    bar.set_prefix(account.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
