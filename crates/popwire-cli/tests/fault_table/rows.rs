//! The faults, and what is counted after them.

use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use popwire_server::{Answer, Builder, Certificate, Maildrop, Server};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::tools::{PASSWORD, Place, Tool, USER};

const MESSAGES: usize = 10;

/// A tool that takes longer than this hangs.
const LIMIT: Duration = Duration::from_secs(20);

/// The port of all the servers, each at an address of its own.
const PORT: u16 = 20_111;

pub(crate) struct Row {
    pub(crate) name: &'static str,
    delete: bool,
    fault: Fault,
    /// What popwire's run with the fault has to end with.
    codes: &'static [i32],
}

enum Fault {
    /// A signal when six messages are delivered and the server hangs in the seventh.
    Signal(Signal),
    /// This fault of the embedded server, in the first run.
    Once(&'static str),
    /// This quirk, in the first run.
    QuirkOnce(&'static str),
    /// This quirk, always.
    Quirk(&'static str),
    /// RETR of the third message is refused, always.
    Refused,
    /// The mail has a line of so many octets.
    Line(usize),
    /// After a good run the tool's memory is cut in half.
    HalfState,
    /// After a good run all unique-ids are others.
    Renumbered,
    /// Another session has the mailbox, in the first run.
    InUse,
    /// The server's certificate is signed by nobody known.
    SelfSigned,
}

pub(crate) const ROWS: [Row; 16] = [
    row("SIGKILL after 6", true, Fault::Signal(Signal::KILL), &[-9]),
    row("SIGTERM in the 7th", true, Fault::Signal(Signal::TERM), &[-15, 75, 0]),
    row("server closes inside the 7th", true, Fault::Once("RETR#7@20:close"), &[0, 75]),
    row("drop after the 5th DELE", true, Fault::Once("DELE#5@after:close"), &[0, 75]),
    row("drop at QUIT, nothing deleted", true, Fault::QuirkOnce("quit=close_before"), &[75]),
    row("all deleted, answer to QUIT lost", true, Fault::QuirkOnce("quit=close"), &[75]),
    row("RETR 3 = -ERR, always", false, Fault::Refused, &[75]),
    row("line of 100 kB", true, Fault::Line(100_000), &[0]),
    row("line of 3 MB", true, Fault::Line(3_000_000), &[0]),
    row("memory cut in half", false, Fault::HalfState, &[0]),
    row("all unique-ids changed", false, Fault::Renumbered, &[0]),
    row("two equal unique-ids", true, Fault::Quirk("uidl_dup=1,3"), &[0]),
    row("unique-ids of 100 characters", false, Fault::Quirk("uidl_weird=long"), &[0]),
    row("no UIDL, mail is kept", false, Fault::Quirk("uidl=none"), &[0]),
    row("[IN-USE]", true, Fault::InUse, &[75]),
    row("certificate signed by nobody", true, Fault::SelfSigned, &[69]),
];

const fn row(name: &'static str, delete: bool, fault: Fault, codes: &'static [i32]) -> Row {
    Row { name, delete, fault, codes }
}

/// What came of a row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Neither here nor on the server.
    lost: usize,
    /// Copies too many.
    doubled: usize,
    /// Files that are no message, or a part of one.
    altered: usize,
    /// On the server, and never fetched; or fetched, and never deleted though it should be.
    stuck: usize,
    /// Of the run with the fault, and of the two after it; -9 and such for signals, and nothing for a run without end.
    codes: Vec<Option<i32>>,
    /// Whether the password went to a server that nobody vouches for.
    fooled: bool,
    /// What it said on stderr.
    pub(crate) said: String,
}

impl Row {
    /// Ours has to be clean.
    pub(crate) fn judge(&self, outcome: &Outcome) -> Result<(), &'static str> {
        let stuck = if matches!(self.fault, Fault::Refused) { 1 } else { 0 };
        let Outcome { lost, doubled, altered, fooled, codes, .. } = outcome;
        if (*lost, *doubled, *altered, *fooled) != (0, 0, 0, false) || outcome.stuck != stuck {
            return Err("not clean");
        }
        if !codes[0].is_some_and(|code| self.codes.contains(&code)) {
            return Err("a wrong exit code with the fault");
        }
        let after = match self.fault {
            Fault::Refused => 75,
            Fault::SelfSigned => return Ok(()),
            _ => 0,
        };
        if codes[1..].iter().any(|code| *code != Some(after)) {
            return Err("a wrong exit code after the fault");
        }
        Ok(())
    }

    pub(crate) fn play(&self, row: usize, column: usize, tool: Tool) -> Outcome {
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mail = self.mail();
        let maildrop = Maildrop::memory(mail.iter().cloned());
        let tls = matches!(self.fault, Fault::SelfSigned);
        let octet = |number: usize| u8::try_from(number + 1).unwrap();
        let address = SocketAddr::from((Ipv4Addr::new(127, 8, octet(row), octet(column)), PORT));
        let mut place = Place {
            home: home.path().to_owned(),
            host: address.ip().to_string(),
            server: address,
            tls,
            delete: self.delete,
        };
        let mut outcome = Outcome::default();
        let usual = || {
            let server = Server::builder().listen(address).user(USER, PASSWORD, maildrop.clone());
            match self.fault {
                Fault::Quirk(quirk) => server.quirk(quirk).unwrap(),
                Fault::Refused => server.script("RETR 3", "-ERR internal error\r\n"),
                _ => server,
            }
        };
        match &self.fault {
            Fault::Signal(signal) => {
                let server = start(&usual().fault("RETR#7@20:hang".parse().unwrap()));
                outcome.codes.push(interrupt(tool, &place, *signal, &mut outcome.said));
                server.stop(Duration::from_secs(1));
            }
            Fault::Once(fault) => outcome.run(tool, &place, usual().fault(fault.parse().unwrap())),
            Fault::QuirkOnce(quirk) => outcome.run(tool, &place, usual().quirk(quirk).unwrap()),
            Fault::Quirk(_) | Fault::Refused | Fault::Line(_) => outcome.run(tool, &place, usual()),
            Fault::HalfState => {
                outcome.run(tool, &place, usual());
                if let Some(state) = tool.state(&place) {
                    let octets = fs::read(&state).unwrap();
                    fs::write(&state, &octets[..octets.len() / 2]).unwrap();
                }
                outcome.codes.clear();
                outcome.run(tool, &place, usual());
            }
            Fault::Renumbered => {
                outcome.run(tool, &place, usual().quirk("uidl_epoch=next").unwrap());
                outcome.codes.clear();
                outcome.run(tool, &place, usual().quirk("uidl_epoch=next").unwrap());
            }
            Fault::InUse => outcome.run(
                tool,
                &place,
                usual().script("PASS", Answer::raw("-ERR [IN-USE] another session has the mailbox\r\n")),
            ),
            Fault::SelfSigned => {
                let server = Server::builder().certificate(Certificate::UnknownCa);
                let server = server.user(USER, PASSWORD, maildrop.clone()).start().unwrap();
                (place.host, place.server) = ("localhost".to_owned(), server.tls_addr());
                outcome.codes.push(look(tool, &place, &mut outcome.said));
                outcome.fooled = server.sessions().iter().any(|session| {
                    session
                        .client_lines()
                        .iter()
                        .any(|line| line.starts_with("PASS") || line.starts_with("AUTH"))
                });
                return outcome;
            }
        }
        for _ in 0..2 {
            outcome.run(tool, &place, usual());
        }
        outcome.count(&mail, &maildrop, &place);
        outcome
    }

    fn mail(&self) -> Vec<Vec<u8>> {
        let line = if let Fault::Line(octets) = self.fault { octets } else { 100 };
        let message = |number: usize| {
            let long = if number == 3 { line } else { 100 };
            let text = "x".repeat(long);
            format!(
                "From: a@example.org\r\nSubject: {number}\r\nMessage-ID: <{number}@x>\r\n\r\nText {number}\r\n{text}\r\n"
            )
        };
        (1..=MESSAGES).map(|number| message(number).into_bytes()).collect()
    }
}

impl Outcome {
    /// One look at the mailbox.
    fn run(&mut self, tool: Tool, place: &Place, server: Builder) {
        let server = start(&server);
        self.codes.push(look(tool, place, &mut self.said));
        assert!(
            server
                .wait_for(Duration::from_secs(20), |sessions| sessions.iter().all(|session| session.closed))
        );
        server.stop(Duration::from_secs(1));
    }

    /// Compares what is here with what was sent. Some tools change line ends and add to the header: what stands behind the
    /// header counts.
    fn count(&mut self, mail: &[Vec<u8>], maildrop: &Maildrop, place: &Place) {
        let body = |message: &[u8]| {
            let plain: Vec<u8> = message.iter().copied().filter(|&octet| octet != b'\r').collect();
            let text = String::from_utf8_lossy(&plain).into_owned();
            text.split_once("\n\n").map(|(_, body)| body.trim_end().to_owned()).unwrap_or_default()
        };
        let mut here: Vec<String> = Vec::new();
        for folder in ["new", "cur"] {
            for entry in fs::read_dir(place.maildir().join(folder)).unwrap() {
                here.push(body(&fs::read(entry.unwrap().path()).unwrap()));
            }
        }
        let there: Vec<String> = maildrop.messages().unwrap().iter().map(|message| body(message)).collect();
        let mail: Vec<String> = mail.iter().map(|message| body(message)).collect();
        self.altered = here.iter().filter(|body| !mail.contains(body)).count();
        for body in &mail {
            let copies = here.iter().filter(|copy| *copy == body).count();
            let left = there.contains(body);
            self.doubled += copies.saturating_sub(1);
            self.lost += usize::from(copies == 0 && !left);
            self.stuck += usize::from(if place.delete { left } else { copies == 0 && left });
        }
    }
}

fn start(server: &Builder) -> Server {
    let deadline = Instant::now() + LIMIT;
    loop {
        match server.clone().start() {
            Ok(server) => return server,
            // The one before lets go of the address a moment after its end.
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs the tool as often as it takes for one look; the worst exit code of those.
fn look(tool: Tool, place: &Place, said: &mut String) -> Option<i32> {
    let mut worst = Some(0);
    for _ in 0..tool.runs() {
        let child = spawn(tool.command(place), place);
        let code = finish(child, place, said);
        if code != Some(0) {
            worst = code;
        }
    }
    worst
}

fn spawn(mut command: Command, place: &Place) -> Child {
    let log = fs::File::create(place.home.join("stderr")).unwrap();
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

fn finish(mut child: Child, place: &Place, said: &mut String) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt as _;
    let deadline = Instant::now() + LIMIT;
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code().or_else(|| status.signal().map(|signal| -signal));
        }
        if Instant::now() > deadline {
            signal(&child, Signal::KILL);
            child.wait().unwrap();
            break None;
        }
        thread::sleep(Duration::from_millis(10));
    };
    said.push_str(&fs::read_to_string(place.home.join("stderr")).unwrap_or_default());
    code
}

/// Runs the tool until six messages are here and nothing more comes, and sends the signal.
fn interrupt(tool: Tool, place: &Place, with: Signal, said: &mut String) -> Option<i32> {
    for _ in 0..tool.runs().min(7) {
        let mut child = spawn(tool.command(place), place);
        let deadline = Instant::now() + Duration::from_secs(2);
        let here = || fs::read_dir(place.maildir().join("new")).unwrap().count();
        while here() < 6 && Instant::now() < deadline && child.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_millis(5));
        }
        if child.try_wait().unwrap().is_none() {
            signal(&child, with);
            return finish(child, place, said);
        }
    }
    Some(0)
}

fn signal(child: &Child, signal: Signal) {
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let _ = kill_process_group(group, signal);
}

/// `0 lost, 6 doubled; 0 0 0`: clean is `ok`.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.lost, "lost"),
            (self.doubled, "doubled"),
            (self.altered, "altered"),
            (self.stuck, "stuck"),
        ];
        let mut parts: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if self.fooled {
            parts.push("password sent".to_owned());
        }
        if parts.is_empty() {
            parts.push("clean".to_owned());
        }
        let codes: Vec<String> =
            self.codes.iter().map(|code| code.map_or("hangs".to_owned(), |code| code.to_string())).collect();
        write!(f, "{} ({})", parts.join(", "), codes.join(" "))
    }
}
