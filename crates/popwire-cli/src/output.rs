//! Where words go: what was asked for to stdout, everything else to stderr.

use std::io::{self, IsTerminal as _, Stderr, Stdout, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use indicatif::MultiProgress;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::args::{Color, OutputArgs};
use crate::explain::{Exit, Problem};
use crate::text;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const FAINT: Style = Style::new().dimmed();

/// How much is said on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    Quiet,
    Normal,
    /// A line per message.
    Messages,
    /// The whole conversation.
    Conversation,
}

/// Both streams, and how to use them. Clones write to the same streams, a line at a time.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    streams: Arc<Mutex<Streams>>,
    /// What moves on stderr; it makes room for lines.
    bars: MultiProgress,
    /// The columns of the longest of the names that bars may have.
    name_columns: usize,
    colors: ColorChoice,
    verbosity: Verbosity,
    json: bool,
}

#[derive(Debug)]
struct Streams {
    out: AutoStream<Stdout>,
    err: AutoStream<Stderr>,
    /// The first failure of stdout: after it, nothing more is written there.
    failed: Option<io::Error>,
}

impl Output {
    pub(crate) fn new(args: &OutputArgs) -> Self {
        let colors = match args.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        Self {
            streams: Arc::new(Mutex::new(Streams {
                out: AutoStream::new(io::stdout(), colors),
                err: AutoStream::new(io::stderr(), colors),
                failed: None,
            })),
            bars: MultiProgress::new(),
            name_columns: 0,
            colors,
            verbosity: match args.verbose {
                _ if args.quiet => Verbosity::Quiet,
                0 => Verbosity::Normal,
                1 => Verbosity::Messages,
                _ => Verbosity::Conversation,
            },
            json: args.json,
        }
    }

    /// Where moving bars are drawn, one below the other.
    pub(crate) fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// Lets the bars of these accounts stand one below the other.
    pub(crate) fn align<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        self.name_columns = names.into_iter().map(UnicodeWidthStr::width).max().unwrap_or(0);
    }

    pub(crate) fn name_columns(&self) -> usize {
        self.name_columns
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn verbosity(&self) -> Verbosity {
        self.verbosity
    }

    pub(crate) fn json(&self) -> bool {
        self.json
    }

    pub(crate) fn stdout_is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Whether a moving bar makes sense on stderr.
    pub(crate) fn shows_progress(&self) -> bool {
        self.verbosity == Verbosity::Normal && !self.json && io::stderr().is_terminal()
    }

    /// Whether stdout still takes what is written. A reader that went away, like `head`, is no error.
    pub(crate) fn takes_more(&self) -> bool {
        self.streams().failed.is_none()
    }

    /// A line of what was asked for.
    pub(crate) fn line(&mut self, line: &str) {
        self.bars.suspend(|| {
            let mut streams = self.streams();
            if streams.failed.is_none() {
                let written = writeln!(streams.out, "{line}").and_then(|()| streams.out.flush());
                streams.failed = written.err();
            }
        });
    }

    /// A line that `--quiet` and `--json` leave out.
    pub(crate) fn report(&mut self, line: &str) {
        if self.verbosity > Verbosity::Quiet && !self.json {
            self.line(line);
        }
    }

    /// An object, if they are wanted.
    pub(crate) fn event(&mut self, event: &impl Serialize) {
        if self.json {
            // Our own structures always serialise.
            let line = serde_json::to_string(event).unwrap_or_default();
            self.line(&text::json_for_terminals(&line));
        }
    }

    /// A line on stderr, for those who asked for this much.
    pub(crate) fn note(&mut self, from: Verbosity, line: &str) {
        if self.verbosity >= from {
            self.say(&format!("{FAINT}{line}{FAINT:#}"));
        }
    }

    pub(crate) fn warn(&mut self, line: &str) {
        self.say(&format!("{WARNING}warning:{WARNING:#} {line}"));
    }

    fn say(&self, text: &str) {
        // Nobody is left to tell if stderr fails.
        self.bars.suspend(|| drop(writeln!(self.streams().err, "{text}")));
    }

    pub(crate) fn error(&mut self, problem: &Problem) {
        // In a pipe each part is one line, for those who search in logs.
        let stderr = io::stderr();
        let columns = if stderr.is_terminal() { text::columns(&stderr) } else { usize::MAX };
        let what = text::wrap(&format!("error: {}", problem.sentence()), columns, "");
        let what = what.strip_prefix("error:").unwrap_or(&what);
        let advice = text::wrap(&problem.advice, columns, "  ");
        self.say(&format!("{ERROR}error:{ERROR:#}{what}\n{advice}"));
        self.event(&ErrorEvent {
            event: "error",
            account: problem.account.as_deref(),
            exit: problem.exit.code(),
            what: &problem.what,
            advice: &problem.advice,
        });
    }

    /// What hears the conversation; it has a stream of its own, since the library may call it from anywhere.
    pub(crate) fn conversation(&self) -> impl Fn(popwire::TraceEvent<'_>) + Send + Sync + 'static {
        let colors = self.colors;
        move |event| {
            let mut err = AutoStream::new(io::stderr(), colors);
            let _ = writeln!(err, "{FAINT}{event}{FAINT:#}");
        }
    }

    /// What hears of each step of a long work, for those who asked for it.
    pub(crate) fn steps(&self) -> impl Fn(&str) + Send + Sync + 'static {
        let (colors, wanted) = (self.colors, self.verbosity >= Verbosity::Messages);
        move |doing| {
            if wanted {
                let mut err = AutoStream::new(io::stderr(), colors);
                let _ = writeln!(err, "{FAINT}{doing}{FAINT:#}");
            }
        }
    }

    /// The exit code, when all is said.
    pub(crate) fn finish(mut self, exit: Exit) -> Exit {
        let failed = self.streams().failed.take();
        match failed {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                let what = format!("stdout cannot be written: {error}");
                self.error(&Problem::new(Exit::Io, what, "The mail itself is not concerned."));
                if exit == Exit::Ok { Exit::Io } else { exit }
            }
            _ => exit,
        }
    }
}

#[derive(Serialize)]
struct ErrorEvent<'a> {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    exit: u8,
    what: &'a str,
    advice: &'a str,
}
