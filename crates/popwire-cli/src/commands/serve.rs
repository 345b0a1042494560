//! `popwire serve`: a mailbox, a scenario or a transcript, served by POP3 until a signal comes.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use popwire::Secret;
use popwire_server::{
    Builder, Event, Knob, Maildrop, Personality, PersonalityError, QuirkError, Scenario, Server, StartError,
    Transcript,
};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use self::told::Totals;
use crate::args::ServeArgs;
use crate::explain::{Exit, Problem};
use crate::output::{Output, Verbosity};
use crate::password::Source;
use crate::text;

mod told;

/// How long sessions may take to finish, once a signal has come. Who sends one waits for the end.
const GRACE: Duration = Duration::from_millis(1500);

/// Most events that wait to be printed. Beyond it they are counted: a terminal that hangs must not stop the server.
const WAITING: usize = 10_000;

/// File descriptors that are needed for other things than connections: messages being read, above all.
const OTHER_FILES: u64 = 100;

pub(super) fn run(args: &ServeArgs, output: &mut Output) -> Result<Exit, Problem> {
    if args.quirk.iter().any(|quirk| quirk == "help") {
        list_knobs(output);
        return Ok(Exit::Ok);
    }
    if args.personality.as_deref() == Some("help") {
        list_personalities(output);
        return Ok(Exit::Ok);
    }
    check_addresses(args)?;
    let (builder, subject) = describe(args, output)?;
    allow_files(args.max_connections.get(), output);

    let (tell, told) = mpsc::channel(WAITING);
    let untold = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&untold);
    let builder = builder.on_event(move |event| {
        if tell.try_send(event.clone()).is_err() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| fault(&format!("no runtime: {error}")))?;
    let signals = {
        let _context = runtime.enter();
        signal(SignalKind::interrupt())
            .and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)))
            .map_err(|error| fault(&format!("signals cannot be heard: {error}")))?
    };
    let server = builder.start().map_err(|error| not_started(&error))?;
    if let Some(path) = &args.ca_out {
        fs::write(path, server.ca_pem()).map_err(|error| {
            let what = format!("the CA cannot be written to {}: {error}", path.display());
            Problem::new(Exit::CannotCreate, what, "Nothing was served. Name another file: --ca-out FILE")
        })?;
    }
    told::Serving { args, subject: &subject, server: &server }.announce(output);

    let begun = Instant::now();
    let mut printer = Printer { totals: Totals::default(), told, output };
    runtime.block_on(printer.print_until(signals));
    printer.output.note(Verbosity::Messages, "ending");
    let cut = server.stop(GRACE);
    printer.print_rest();
    let Printer { totals, output, .. } = printer;
    let untold = untold.load(Ordering::Relaxed);
    if untold > 0 {
        output.warn(&format!("{untold} events came too fast to be printed"));
    }
    totals.conclude(cut, begun.elapsed(), output);
    Ok(Exit::Ok)
}

/// What is served.
enum Subject<'a> {
    Mailbox {
        user: &'a str,
        place: &'a Path,
        messages: usize,
        /// The password, if nobody knows it yet.
        made: Option<Secret>,
    },
    Scenario(&'a Path),
    Transcript(&'a Path),
}

/// The server as the options have it.
fn describe<'a>(args: &'a ServeArgs, output: &mut Output) -> Result<(Builder, Subject<'a>), Problem> {
    if let Some(path) = &args.scenario {
        let scenario = Scenario::from_file(path).map_err(|error| {
            let what = format!("the scenario cannot be served: {error}");
            Problem::configuration(what, "Nothing was served. docs/scenario.md has all keys, with examples.")
        })?;
        let builder = scenario.builder().record(false);
        return Ok((behaviour(args, builder)?, Subject::Scenario(path)));
    }
    let builder = network(args)?;
    if let Some(path) = &args.transcript {
        let text = String::from_utf8_lossy(&read("--transcript", path)?).into_owned();
        let transcript = Transcript::parse(&text).map_err(|error| {
            let what = format!("{} is no transcript: {error}", path.display());
            Problem::configuration(
                what,
                "Nothing was served. Its lines begin with C: and S:, as popwire -vv prints them.",
            )
        })?;
        return Ok((behaviour(args, builder)?.transcript(transcript), Subject::Transcript(path)));
    }
    let Some(user) = args.user.as_deref().filter(|user| !user.is_empty()) else {
        return Err(usage("it is not said who may sign in", "Add --user NAME."));
    };
    let (maildrop, place) = maildrop(args)?;
    let (password, made) = password(args, user, output)?;
    // Read once before anybody asks, so that a mailbox that cannot be served is not.
    let messages = maildrop.len().map_err(|error| unreadable(place, &error))?;
    let builder = behaviour(args, builder)?.user(user, password.expose(), maildrop);
    Ok((builder, Subject::Mailbox { user, place, messages, made }))
}

/// Prints events as they come.
struct Printer<'a> {
    totals: Totals,
    told: mpsc::Receiver<Event>,
    output: &'a mut Output,
}

impl Printer<'_> {
    async fn print_until(&mut self, signals: (tokio::signal::unix::Signal, tokio::signal::unix::Signal)) {
        let (mut interrupt, mut terminate) = signals;
        loop {
            tokio::select! {
                Some(event) = self.told.recv() => self.print(&event),
                _ = interrupt.recv() => return,
                _ = terminate.recv() => return,
            }
        }
    }

    /// What the end of the server brought.
    fn print_rest(&mut self) {
        while let Ok(event) = self.told.try_recv() {
            self.print(&event);
        }
    }

    fn print(&mut self, event: &Event) {
        self.totals.add(event);
        self.output.report(&event.to_string());
        self.output.event(&told::object(event));
    }
}

/// Where it listens, and what it bears.
fn network(args: &ServeArgs) -> Result<Builder, Problem> {
    let mut builder = Server::builder()
        .record(false)
        .listen(args.listen)
        .listen_tls(args.listen_tls)
        .require_tls(args.require_tls)
        .sasl(args.sasl.iter().copied())
        .max_connections(args.max_connections.get())
        .idle_timeout(Duration::from_secs(args.idle_timeout))
        .read_only(args.read_only);
    if let Some(connections) = args.max_connections_per_address {
        builder = builder.max_connections_per_address(connections.get());
    }
    if let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) {
        let key = Secret::from(read("--tls-key", key)?);
        builder = builder.certificate_pem(read("--tls-cert", certificate)?, key.expose());
    }
    Ok(builder)
}

/// How it departs from the RFCs, and what goes wrong. A quirk changes a personality, so it comes after it.
fn behaviour(args: &ServeArgs, mut builder: Builder) -> Result<Builder, Problem> {
    if let Some(name) = &args.personality {
        let refused = |error: PersonalityError| {
            usage(format!("--personality {error}"), "All of them: popwire serve --personality help")
        };
        builder = builder.personality(name).map_err(refused)?;
    }
    for quirk in &args.quirk {
        let refused =
            |error: QuirkError| usage(format!("--quirk {error}"), "All of them: popwire serve --quirk help");
        builder = builder.quirk(quirk).map_err(refused)?;
    }
    Ok(args.fault.iter().cloned().fold(builder, Builder::fault))
}

/// A password in the clear over a network is nothing that happens by a slip.
fn check_addresses(args: &ServeArgs) -> Result<(), Problem> {
    let reachable = !is_loopback(args.listen.ip());
    if reachable && !args.require_tls && !args.allow_plaintext {
        let what = format!("on {}, others could sign in without TLS, for everybody to read", args.listen);
        let advice =
            "--require-tls lets nobody sign in before STLS. Where nobody can listen: --allow-plaintext.";
        return Err(usage(what, advice));
    }
    Ok(())
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn maildrop(args: &ServeArgs) -> Result<(Maildrop, &Path), Problem> {
    match (&args.maildir, &args.mbox) {
        (Some(maildir), None) => {
            // A slip of the pen is not to be an empty mailbox.
            if !["new", "cur"].iter().all(|folder| maildir.join(folder).is_dir()) {
                let what = format!("{} is no Maildir: it has no new/ and cur/", maildir.display());
                let advice = format!("To make one: mkdir -p {0}/new {0}/cur {0}/tmp", maildir.display());
                return Err(Problem::configuration(what, advice));
            }
            Ok((Maildrop::maildir(maildir), maildir))
        }
        (None, Some(mbox)) => {
            fs::metadata(mbox).map_err(|error| unreadable(mbox, &error))?;
            Ok((Maildrop::mbox(mbox), mbox))
        }
        _ => Err(usage("it is not said which mail to serve", "Add --maildir DIR or --mbox FILE.")),
    }
}

/// The password, and whether it was made here: then it has to be told.
fn password(args: &ServeArgs, user: &str, output: &mut Output) -> Result<(Secret, Option<Secret>), Problem> {
    let source = match (&args.password_env, &args.password_file, &args.password_command) {
        (Some(name), ..) => Source::Variable(name.clone()),
        (_, Some(path), _) => Source::File(path.clone()),
        (.., Some(command)) => Source::Command(command.clone()),
        _ if Source::is_in_environment() => Source::Unsaid,
        _ if output.verbosity() == Verbosity::Quiet && !output.json() => {
            let advice = "Give one, by --password-env VAR, --password-file FILE or --password-command CMD.";
            return Err(usage("with --quiet nobody learns the password that is made up", advice));
        }
        _ => {
            let made = made_up().map_err(|error| fault(&format!("no random numbers: {error}")))?;
            return Ok((made.clone(), Some(made)));
        }
    };
    source.password(user, output).map(|password| (password, None))
}

/// A hundred random bits, as letters and digits that are not taken for one another.
fn made_up() -> Result<Secret, getrandom::Error> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut octets = [0; 20];
    getrandom::fill(&mut octets)?;
    let letter = |octet: &u8| LETTERS.get(usize::from(octet % 32)).copied();
    Ok(Secret::from(octets.iter().filter_map(letter).collect::<Vec<_>>()))
}

/// Sees that there may be as many open files as connections.
fn allow_files(connections: usize, output: &mut Output) {
    let needed = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return;
    }
    limit.current = Some(limit.maximum.map_or(needed, |most| most.min(needed)));
    let raised = setrlimit(Resource::Nofile, limit).is_ok();
    let current = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if !raised || current < needed {
        let connections = current.saturating_sub(OTHER_FILES);
        output.warn(&format!(
            "the system allows {current} open files, enough for some {connections} connections: ulimit -n"
        ));
    }
}

fn list_knobs(output: &mut Output) {
    let columns = if output.stdout_is_terminal() { text::columns(&io::stdout()) } else { 78 };
    for knob in Knob::all() {
        let values = format!("{}={}", knob.name(), knob.values().join(" | "));
        output.report(text::wrap(&values, columns, "  ").trim_start());
        output.report(&text::wrap(knob.about(), columns, "    "));
        output.event(&told::knob(knob));
    }
}

fn list_personalities(output: &mut Output) {
    let columns = if output.stdout_is_terminal() { text::columns(&io::stdout()) } else { 78 };
    for personality in Personality::all() {
        output.report(personality.name());
        output.report(&text::wrap(personality.about(), columns, "    "));
        output.event(&told::personality(personality));
    }
}

fn read(option: &str, path: &Path) -> Result<Vec<u8>, Problem> {
    fs::read(path).map_err(|error| {
        let what = format!("{option}: {} cannot be read: {error}", path.display());
        Problem::configuration(what, "Nothing was served. Check the path and the permissions.")
    })
}

fn unreadable(place: &Path, error: &io::Error) -> Problem {
    let what = format!("{} cannot be served: {error}", place.display());
    Problem::configuration(what, "Nothing was changed. Check the path and the permissions.")
}

fn not_started(error: &StartError) -> Problem {
    let what = match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    match error {
        StartError::Bind { source, .. } => Problem::new(
            Exit::Unavailable,
            what,
            match source.kind() {
                io::ErrorKind::AddrInUse => {
                    "Another program has this port. --listen and --listen-tls name others; port 0 is any that is free."
                }
                io::ErrorKind::PermissionDenied => {
                    "Ports below 1024 are for root; --listen and --listen-tls name others."
                }
                _ => "Is it an address of this machine?",
            },
        ),
        StartError::CertificatePem(_) | StartError::KeyPem(_) | StartError::Tls(_) => {
            let advice = "Both are PEM files, and the key is the one that the certificate was made for.";
            Problem::configuration(what, advice)
        }
        _ => fault(&what),
    }
}

fn usage(what: impl Into<String>, advice: impl Into<String>) -> Problem {
    Problem::usage(what, advice)
}

fn fault(what: &str) -> Problem {
    Problem::new(Exit::Software, what, "Nothing was served. This should not happen; please report it.")
}
