//! Conversations in files, replayed however the network may cut them.
//!
//! # The files
//!
//! Each file of `testdata/transcripts` is one session. Its lines:
//!
//! | line | meaning |
//! |---|---|
//! | `# text`, empty | a comment |
//! | `S: text` | the server says this line; CRLF is added |
//! | `S: text\` | the same with nothing added: the line ends as its escapes say |
//! | `C: LINE` | the client sends this command; exactly this line must go over the wire |
//! | `C+ text` | the client answers a challenge of AUTH |
//! | `C! LINE`, `C* LINE` | the client sends a raw line, to be answered by one line, or by many |
//! | `(closed)` | the server ends the connection |
//! | `(silence)` | nothing comes for as long as the rescue of an unended message waits |
//! | `(tls)` | the TLS handshake is done |
//! | `= text` | what the client makes of it: one such line per outcome, in order, anywhere in the file |
//!
//! Escapes: `\r \n \t \\ \xNN`. The outcomes:
//!
//! | outcome | of |
//! |---|---|
//! | `ok text`, `err text`, `go on text` | a reply that has no more meaning; a response code stands in brackets, `err {InUse} ...` |
//! | `stat 2 320`, `scan 1:120`, `uid 1:abc`, `last 3` | STAT, LIST n, UIDL n, LAST; `?` is a size that is no number |
//! | `scans 1:120 2:200`, `uids 1:abc`, `capa TOP, SASL PLAIN`, `languages en:English`, `mechanisms PLAIN` | the listings; `(1 skipped)` after them |
//! | `data text` | a raw answer of many lines |
//! | `message octets` | RETR, TOP: the octets of the message, ` (irregular ...)` if it ended so |
//! | `fault text` | an error; the session may be over |
//! | `refused text` | a command that the client does not send |
//! | `lenient ...` | at the end, if anything was tolerated |

use std::collections::VecDeque;
use std::path::Path;

use popwire_proto::command::*;
use popwire_proto::listing::Scan;
use popwire_proto::{Body, Client, Command, End, Error, Limits, Reply, Secret, Shape, Status};

use crate::escapes::{escape, unescape};
use crate::talk::Cut;

#[derive(Debug)]
pub(crate) enum Event {
    Server(Vec<u8>),
    Client(char, String),
    Closed,
    Silence,
    Tls,
}

/// A session, and what must come of it.
#[derive(Debug)]
pub(crate) struct Transcript {
    pub(crate) events: Vec<Event>,
    pub(crate) outcomes: Vec<String>,
}

impl Transcript {
    pub(crate) fn read(path: &Path) -> Self {
        Self::parse(&std::fs::read_to_string(path).unwrap())
    }

    pub(crate) fn parse(text: &str) -> Self {
        let (mut events, mut outcomes) = (Vec::new(), Vec::new());
        for line in text.lines() {
            match line.split_at_checked(2).unwrap_or((line, "")) {
                ("", _) | ("# ", _) => {}
                ("S:", said) => {
                    let said = said.strip_prefix(' ').unwrap_or(said);
                    // An escaped backslash is two, so an odd one at the end stands for itself.
                    let odd = said.bytes().rev().take_while(|octet| *octet == b'\\').count() % 2 == 1;
                    let octets = match said.strip_suffix('\\').filter(|_| odd) {
                        Some(bare) => unescape(bare),
                        None => [&unescape(said)[..], b"\r\n"].concat(),
                    };
                    match events.last_mut() {
                        Some(Event::Server(before)) => before.extend(octets),
                        _ => events.push(Event::Server(octets)),
                    }
                }
                ("C:" | "C+" | "C!" | "C*", said) => {
                    let kind = char::from(line.as_bytes()[1]);
                    events.push(Event::Client(kind, said.strip_prefix(' ').unwrap_or(said).to_owned()));
                }
                ("= ", outcome) => outcomes.push(outcome.to_owned()),
                _ => events.push(match line {
                    "(closed)" => Event::Closed,
                    "(silence)" => Event::Silence,
                    "(tls)" => Event::Tls,
                    _ => panic!("no such line: {line}"),
                }),
            }
        }
        Self { events, outcomes }
    }

    /// How many octets the server says in all.
    pub(crate) fn octets(&self) -> usize {
        let said = |event: &Event| if let Event::Server(octets) = event { octets.len() } else { 0 };
        self.events.iter().map(said).sum()
    }

    /// Plays the session; returns what came of it.
    pub(crate) fn play(&self, cut: &Cut, sip: usize) -> Vec<String> {
        let mut player = Player {
            client: Client::new(Limits::default()),
            asked: VecDeque::from([plain()]),
            message: None,
            outcomes: Vec::new(),
            sip,
        };
        let mut said = 0;
        for event in &self.events {
            match event {
                Event::Server(octets) => {
                    for piece in cut.pieces(octets, said) {
                        player.client.space()[..piece.len()].copy_from_slice(piece);
                        player.client.filled(piece.len());
                        player.listen();
                    }
                    said += octets.len();
                }
                Event::Client(kind, line) => player.say(*kind, line),
                Event::Closed => {
                    player.client.filled(0);
                    player.listen();
                }
                Event::Silence => {
                    player.client.rescue();
                    player.listen();
                }
                Event::Tls => {
                    if let Err(e) = player.client.tls_started() {
                        player.note(fault(&e));
                    }
                }
            }
        }
        player.finish()
    }
}

type Render = Box<dyn FnOnce(Reply) -> Result<String, Error>>;

struct Asked {
    shape: Shape,
    render: Render,
}

struct Player {
    client: Client,
    asked: VecDeque<Asked>,
    message: Option<Vec<u8>>,
    outcomes: Vec<String>,
    sip: usize,
}

impl Player {
    fn note(&mut self, outcome: String) {
        // No outcome of note ends in a blank, and editors drop those of a file.
        self.outcomes.push(outcome.trim_end().to_owned());
    }

    /// Takes everything out of the machine that it has to give.
    fn listen(&mut self) {
        while !self.client.is_broken() {
            if let Some(mut octets) = self.message.take() {
                match self.client.body() {
                    Ok(Body::Chunk(chunk)) => {
                        let taken = chunk.len().min(self.sip);
                        octets.extend_from_slice(&chunk[..taken]);
                        self.message = Some(octets);
                        self.client.consume(taken);
                    }
                    Ok(Body::NeedMore) => {
                        self.message = Some(octets);
                        return;
                    }
                    Ok(Body::End(End::Regular)) => self.note(format!("message {}", escape(&octets))),
                    Ok(Body::End(End::Irregular(kind))) => {
                        self.note(format!("message {} (irregular {kind:?})", escape(&octets)));
                    }
                    Err(e) => self.note(fault(&e)),
                }
                continue;
            }
            match self.client.reply() {
                Ok(None) => return,
                Ok(Some(reply)) => {
                    let asked = self.asked.pop_front().expect("no reply without a question");
                    match reply.status() {
                        Status::Ok if asked.shape == Shape::Message => self.message = Some(Vec::new()),
                        Status::Ok => {
                            let outcome = (asked.render)(reply).unwrap_or_else(|e| fault(&e));
                            self.note(outcome);
                        }
                        _ => self.note(plain_text(&reply)),
                    }
                }
                Err(e) => self.note(fault(&e)),
            }
        }
    }

    fn say(&mut self, kind: char, line: &str) {
        match submit(&mut self.client, kind, line) {
            Ok(asked) => {
                let wire = self.client.unsent();
                assert_eq!(escape(wire), escape(&[&unescape(line)[..], b"\r\n"].concat()));
                self.client.sent(line.len() + 2);
                self.asked.push_back(asked);
            }
            Err(e @ (Error::Argument(_) | Error::OutOfOrder(_))) => self.note(format!("refused {e:?}")),
            Err(e) => self.note(fault(&e)),
        }
    }

    fn finish(mut self) -> Vec<String> {
        let lenient = self.client.leniencies();
        for (count, what) in [
            (lenient.bare_lf_lines, "lines"),
            (lenient.bare_lf_bodies, "bodies"),
            (lenient.irregular_ends, "ends"),
        ] {
            if count > 0 {
                self.note(format!("lenient {what} {count}"));
            }
        }
        self.outcomes
    }
}

fn plain() -> Asked {
    Asked { shape: Shape::SingleLine, render: Box::new(|reply| Ok(plain_text(&reply))) }
}

fn plain_text(reply: &Reply) -> String {
    let status = match reply.status() {
        Status::Ok => "ok",
        Status::Err => "err",
        Status::Continue => "go on",
    };
    let code = reply.code().map(|code| format!(" {{{code:?}}}")).unwrap_or_default();
    format!("{status}{code} {}", escape(reply.text()))
}

/// An error by what it says, not by how it says it.
fn fault(error: &Error) -> String {
    match error {
        Error::Malformed { verb, line } => format!("fault malformed {verb}: {}", escape(line.as_bytes())),
        Error::Closed { verb, received } => format!("fault closed in {verb} after {received}"),
        Error::NotAStatusLine(line) => format!("fault not a status line: {}", escape(line.as_bytes())),
        Error::Unsolicited(line) => format!("fault unsolicited: {}", escape(line.as_bytes())),
        Error::ServerClosing(line) => format!("fault server closing: {}", escape(line.as_bytes())),
        other => format!("fault {other:?}"),
    }
}

fn ask<C, F>(client: &mut Client, command: C, render: F) -> Result<Asked, Error>
where
    C: Command + 'static,
    F: FnOnce(C::Answer) -> String + 'static,
{
    client.submit(&command)?;
    let shape = command.shape();
    let decode = move |reply| command.decode(reply, &Limits::default()).map(render);
    Ok(Asked { shape, render: Box::new(decode) })
}

/// Sends the command that has this line.
fn submit(client: &mut Client, kind: char, line: &str) -> Result<Asked, Error> {
    let text = |reply: Reply| plain_text(&reply);
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let number = rest.split(' ').next().and_then(|digits| digits.parse().ok()).unwrap_or(0);
    match (kind, word, rest) {
        ('+', ..) => ask(client, AuthResponseCommand { response: line.into() }, text),
        ('!', ..) => ask(client, RawCommand::single(unescape(line)), text),
        ('*', ..) => ask(client, RawCommand::multi(unescape(line)), |r| format!("data {}", escape(r.data()))),
        (_, "USER", name) => ask(client, UserCommand { name: unescape(name) }, text),
        (_, "PASS", password) => ask(client, PassCommand { password: unescape(password).into() }, text),
        (_, "APOP", both) => {
            let (name, digest) = both.rsplit_once(' ').unwrap();
            ask(client, ApopCommand { name: name.into(), digest: digest.into() }, text)
        }
        (_, "AUTH", "") => ask(client, AuthListCommand, |mechanisms| {
            format!("mechanisms {}", join(mechanisms.list.iter().map(|name| escape(name.as_bytes())), " "))
        }),
        (_, "AUTH", both) => {
            let (mechanism, initial) = both.split_once(' ').map_or((both, None), |(m, i)| (m, Some(i)));
            let (mechanism, initial) = (mechanism.into(), initial.map(Secret::from));
            ask(client, AuthCommand { mechanism, initial }, text)
        }
        (_, "STAT", _) => {
            ask(client, StatCommand, |stat| format!("stat {} {}", stat.messages, size(stat.octets)))
        }
        (_, "LIST", "") => ask(client, ListCommand, |list| {
            format!("scans {}{}", join(list.iter().map(scan), " "), skipped(list.skipped()))
        }),
        (_, "LIST", _) => ask(client, ListOneCommand { number }, |one| format!("scan {}", scan(one.scan))),
        (_, "UIDL", "") => ask(client, UidlCommand, |list| {
            let uids = list.iter().map(|(number, uid)| format!("{number}:{}", escape(uid.as_bytes())));
            format!("uids {}{}", join(uids, " "), skipped(list.skipped()))
        }),
        (_, "UIDL", _) => ask(client, UidlOneCommand { number }, |one| {
            format!("uid {}:{}", one.number, escape(one.uid().as_bytes()))
        }),
        (_, "RETR", _) => ask(client, RetrCommand { number }, text),
        (_, "TOP", both) => {
            let lines = both.split_once(' ').unwrap().1.parse().unwrap();
            ask(client, TopCommand { number, lines }, text)
        }
        (_, "DELE", _) => ask(client, DeleCommand { number }, text),
        (_, "NOOP", _) => ask(client, NoopCommand, text),
        (_, "RSET", _) => ask(client, RsetCommand, text),
        (_, "QUIT", _) => ask(client, QuitCommand, text),
        (_, "CAPA", _) => ask(client, CapaCommand, |capabilities| {
            let list = capabilities.iter().map(|capability| {
                let words = std::iter::once(&capability.tag).chain(&capability.arguments);
                join(words.map(|word| escape(word.as_bytes())), " ")
            });
            format!("capa {}", join(list, ", "))
        }),
        (_, "STLS", _) => ask(client, StlsCommand, text),
        (_, "UTF8", _) => ask(client, Utf8Command, text),
        (_, "LANG", "") => ask(client, LangListCommand, |languages| {
            let list = languages.list.iter();
            let list = list.map(|(tag, words)| format!("{tag}:{}", escape(words.as_bytes())));
            format!("languages {}", join(list, ", "))
        }),
        (_, "LANG", tag) => ask(client, LangCommand { tag: tag.into() }, text),
        (_, "LAST", _) => ask(client, LastCommand, |last| format!("last {}", last.number)),
        _ => panic!("no such command: {line}"),
    }
}

fn join(words: impl Iterator<Item = String>, between: &str) -> String {
    words.collect::<Vec<_>>().join(between)
}

fn size(octets: Option<u64>) -> String {
    octets.map_or("?".into(), |octets| octets.to_string())
}

fn scan(scan: Scan) -> String {
    format!("{}:{}", scan.number, size(scan.octets))
}

fn skipped(count: usize) -> String {
    if count == 0 { String::new() } else { format!(" ({count} skipped)") }
}
