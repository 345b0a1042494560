// Nothing of a login by any mechanism is shown, however it ends: P-133. What to look for is taken from the server's own
// recording of the session.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use popwire::{Connector, Error, Login, Mechanism, Method, Security, Timeouts, TraceLevel};
use popwire_server::{Builder, Direction, SaslFault, Maildrop, Server};

use crate::setting::{MAIL, PASSWORD, ca, ended, ms, tls};

const TOKEN: &str = "ya29.a0AfH6SMBx/right";
const WRONG: &str = "wr0ng, but a p\u{e4}ss";
const WRONG_TOKEN: &str = "ya29.a0AfH6SMBx/expired";
/// What may be shown although it stands in an exchange.
const PUBLIC: [&str; 5] = ["alice", "nobody", "somebody@example.org", "Username:", "Password:"];

fn everything() -> Builder {
    Server::builder()
        .user("alice", PASSWORD, Maildrop::memory(MAIL))
        .sasl(Mechanism::ALL.into_iter().filter(|mechanism| *mechanism != Mechanism::Gssapi))
        .token("alice", TOKEN)
        .anonymous("alice")
        .apop(true)
        .utf8(true)
}

fn methods() -> impl Iterator<Item = Method> {
    let sasl =
        Mechanism::ALL.into_iter().filter(|mechanism| *mechanism != Mechanism::Gssapi).map(Method::Sasl);
    sasl.chain([Method::UserPass, Method::Apop])
}

/// The login as it should be; then, where there is something that can be wrong, with a wrong secret and a wrong name.
fn logins(method: Method) -> Vec<Login> {
    match method {
        Method::Sasl(Mechanism::External) => vec![Login::external(), Login::external().acting_as("nobody")],
        Method::Sasl(Mechanism::Anonymous) => vec![Login::anonymous("somebody@example.org")],
        Method::Sasl(Mechanism::OAuthBearer | Mechanism::XOAuth2) => {
            [("alice", TOKEN), ("alice", WRONG_TOKEN), ("nobody", TOKEN)]
                .map(|(user, token)| Login::token(user, token).methods([method]))
                .into()
        }
        _ => [("alice", PASSWORD), ("alice", WRONG), ("nobody", PASSWORD)]
            .map(|(user, password)| Login::password(user, password).methods([method]))
            .into(),
    }
}

/// All that a session shows.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<String>>);

impl Seen {
    fn trace(&self, connector: Connector) -> Connector {
        let all = self.clone();
        let connector = connector.trace(TraceLevel::Bodies, move |event| {
            all.text(&format!("{event}\n{event:?}\n{event:#?}\n"));
        });
        self.debug(&connector);
        connector
    }

    fn text(&self, text: &str) {
        self.0.lock().unwrap().push_str(text);
    }

    fn debug(&self, what: &dyn std::fmt::Debug) {
        self.text(&format!("{what:?}\n{what:#?}\n"));
    }

    /// An error in every form: its words, its insides, what it comes from, and all attempts.
    fn error(&self, error: &Error) {
        self.text(&format!("{error}\n{error:#}\n"));
        self.debug(&error);
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            self.text(&format!("{cause}\n"));
            self.debug(&cause);
            source = cause.source();
        }
        for attempt in error.attempts() {
            self.text(&format!("{attempt}\n"));
            self.debug(attempt);
            self.debug(&(&attempt.reply, &attempt.error, &attempt.oauth));
        }
        self.debug(&(error.reply(), error.protocol(), error.sasl()));
    }

    /// The first of these that is in it, in whatever coat.
    fn finds(&self, treasures: &[Vec<u8>]) -> Option<String> {
        let all = self.0.lock().unwrap();
        let unindented = all.lines().map(str::trim_start).collect::<Vec<_>>().join("\n");
        treasures.iter().find_map(|treasure| {
            let coat = coats(treasure).into_iter().find(|coat| unindented.contains(coat.as_str()))?;
            let at = unindented.find(&coat)?;
            let around = unindented
                .char_indices()
                .filter(|(place, _)| (at.saturating_sub(150)..at + 150).contains(place));
            Some(format!("{coat:?} in ...{}...", around.map(|(_, char)| char).collect::<String>()))
        })
    }

    /// Finds none of these; and finds that, so that the search is known to look at something.
    #[track_caller]
    fn hides(&self, treasures: &[Vec<u8>], known: &[&str], what: &str) {
        if let Some(found) = self.finds(treasures) {
            panic!("{what}: {found}");
        }
        let all = self.0.lock().unwrap();
        for known in known {
            assert!(all.contains(known), "{what}: {known:?} is not shown");
        }
    }
}

/// The ways in which octets may be shown.
fn coats(octets: &[u8]) -> Vec<String> {
    let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    let list = format!("{octets:?}").trim_matches(['[', ']']).to_owned();
    let mut coats = vec![
        hex.to_uppercase(),
        list.replace(", ", ",\n"),
        list,
        octets.iter().map(|octet| format!("\\x{octet:02x}")).collect(),
        octets.escape_ascii().to_string(),
        BASE64_STANDARD.encode(octets).trim_end_matches('=').to_owned(),
        hex,
    ];
    if let Ok(text) = std::str::from_utf8(octets) {
        let controls =
            |c: char| if c.is_control() { format!("\\x{:02x}", u32::from(c)) } else { c.to_string() };
        coats.extend([
            text.to_owned(),
            text.escape_debug().to_string(),
            text.chars().map(controls).collect(),
        ]);
    }
    coats
}

/// What must not be shown of a login: the lines of its exchange, what they hold, and the proofs in it.
fn treasures<'a>(lines: impl IntoIterator<Item = (Direction, &'a [u8])>) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut challenged = false;
    for (direction, line) in lines {
        let words: Vec<&[u8]> = line.splitn(3, |octet| *octet == b' ').collect();
        let sasl = match (direction, words.as_slice()) {
            (Direction::Server, [b"+", challenge @ ..]) => {
                challenged = true;
                challenge.first().copied()
            }
            (Direction::Client, _) if challenged => Some(line),
            (Direction::Client, [b"AUTH", _, initial]) => Some(*initial),
            (Direction::Client, [b"PASS", ..]) => {
                found.push(line["PASS ".len()..].to_vec());
                None
            }
            (Direction::Client, [b"APOP", _, digest]) => {
                found.push(digest.to_vec());
                None
            }
            _ => None,
        };
        challenged &= direction == Direction::Server;
        if let Some(sasl) = sasl {
            found.push(sasl.strip_suffix(b"==").or(sasl.strip_suffix(b"=")).unwrap_or(sasl).to_vec());
            found.extend(BASE64_STANDARD.decode(sasl).map(|message| fields(&message)).unwrap_or_default());
        }
    }
    let public = |treasure: &[u8]| {
        let plain = PUBLIC.iter().map(|public| (*public).to_owned());
        let coated =
            PUBLIC.iter().map(|public| BASE64_STANDARD.encode(public).trim_end_matches('=').to_owned());
        plain.chain(coated).any(|public| public.as_bytes() == treasure)
    };
    found.retain(|treasure| treasure.len() >= 6 && !public(treasure));
    found
}

/// A message of a mechanism, and what is secret in it by itself.
fn fields(message: &[u8]) -> Vec<Vec<u8>> {
    if message.starts_with(b"{") {
        // What a server says of a token is for the caller to read.
        return Vec::new();
    }
    let mut found = vec![message.to_vec()];
    for field in message.split(|octet| *octet == b',') {
        for name in [&b"p="[..], b"v=", b"response=", b"rspauth="] {
            found.extend(field.strip_prefix(name).map(<[u8]>::to_vec));
        }
    }
    // The digest of CRAM-MD5.
    found.extend(
        message.rsplit(|octet| *octet == b' ').next().filter(|word| word.len() == 32).map(<[u8]>::to_vec),
    );
    // The answers to NTLM's challenge.
    if message.starts_with(b"NTLMSSP\0\x03") {
        for at in [12, 20] {
            let number = |at: usize| usize::from(u16::from_le_bytes([message[at], message[at + 1]]));
            let (length, offset) = (number(at), number(at + 4));
            found.push(message[offset..offset + length].to_vec());
            found.push(message[offset..offset + length.min(16)].to_vec());
        }
    }
    found
}

fn secrets() -> Vec<Vec<u8>> {
    [PASSWORD, WRONG, TOKEN, WRONG_TOKEN].map(|secret| secret.as_bytes().to_vec()).into()
}

fn recorded(server: &Server) -> Vec<Vec<u8>> {
    let session = ended(server);
    let lines = session.lines.iter().map(|line| (line.direction, line.octets.trim_ascii_end()));
    treasures(lines).into_iter().chain(secrets()).collect()
}

fn login_name(line: &str) -> &str {
    line.split(' ').nth(1).unwrap_or_default()
}

helper! {
    /// A login over TLS, and all that is seen of it. How it ended is returned.
    fn watched(server: &Server, login: &Login, what: &str) -> Result<(), Error> {
        let seen = Seen::default();
        let (certificate, key) = server.client_certificate("alice").unwrap();
        let key_lines = key.clone();
        let settings = ca(server).with_client_certificate(certificate.as_bytes(), key).unwrap();
        let connector = seen.trace(tls(server).tls(settings));
        seen.debug(login);
        let mut client = go!(Client::connect(&connector)).unwrap();
        let answer = go!(client.login(login));
        seen.debug(&client);
        match &answer {
            Ok(reply) => {
                seen.text(&format!("{reply}\n"));
                seen.debug(reply);
                let _ = go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap();
            }
            Err(error) => {
                seen.error(error);
                seen.debug(&login.after(error));
                if let Err(error) = go!(client.noop()) {
                    seen.error(&error);
                }
            }
        }
        seen.debug(&client);
        seen.debug(&go!(client.quit()));
        let mut treasures = recorded(server);
        let said = server.last_session().unwrap().client_lines();
        let first = said.iter().find(|line| *line != "CAPA").cloned().unwrap_or_default();
        let command = first.splitn(3, ' ').take(2).collect::<Vec<_>>().join(" ");
        let heard = if answer.is_ok() { "S: +OK" } else { "S: " };
        let is_cancelled = said.iter().any(|line| line == "*");
        let is_secret = !is_cancelled && !matches!(login_name(&first), "EXTERNAL" | "ANONYMOUS");
        assert!(treasures.len() > secrets().len() || !is_secret, "{what}: nothing to look for");
        treasures.extend(key_lines.lines().filter(|line| !line.starts_with('-')).map(|line| line.as_bytes().to_vec()));
        seen.hides(&treasures, &[&format!("C: {command}"), "********", heard], what);
        answer.map(drop)
    }
}

/// What somebody in the middle does with the server's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meddling {
    /// The last answer of a login repeats what the client said last.
    Repeats(Part),
    /// As [`Meddling::Repeats`], but of the line before the last.
    RepeatsTheOneBefore,
    /// In place of the n-th answer to a line of the login, the connection is closed.
    Closes(usize),
    /// In place of the n-th answer to a line of the login, nothing comes.
    Hangs(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The whole line.
    Line,
    /// Its last word.
    Word,
    /// What is in the base64 of it, control characters made blanks.
    Decoded,
    /// The proof in that, or the password, or the token.
    Proof,
}

type Lines = Mutex<Vec<(Direction, Vec<u8>)>>;

/// Somebody in the middle, for one connection. He hears all lines.
struct Middle {
    port: u16,
    lines: Arc<Lines>,
    thread: std::thread::JoinHandle<()>,
}

impl Middle {
    fn before(server: &Server, meddling: Meddling) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (addr, heard) = (server.addr(), Arc::clone(&lines));
        let thread = std::thread::spawn(move || {
            let (client, _) = listener.accept().unwrap();
            let server = TcpStream::connect(addr).unwrap();
            for stream in [&client, &server] {
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(ms(20_000))).unwrap();
            }
            let _ = meddle(client, server, meddling, &heard);
        });
        Self { port, lines, thread }
    }

    fn treasures(self) -> Vec<Vec<u8>> {
        self.thread.join().unwrap();
        let lines = self.lines.lock().unwrap();
        let lines = lines.iter().map(|(direction, line)| (*direction, line.as_slice()));
        treasures(lines).into_iter().chain(secrets()).collect()
    }
}

fn meddle(client: TcpStream, server: TcpStream, meddling: Meddling, heard: &Lines) -> std::io::Result<()> {
    let (mut to_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let (mut client, mut server) = (BufReader::new(client), BufReader::new(server));
    let keep =
        |direction, line: &[u8]| heard.lock().unwrap().push((direction, line.trim_ascii_end().to_vec()));
    let line_of = |stream: &mut BufReader<TcpStream>| -> std::io::Result<Vec<u8>> {
        let mut line = Vec::new();
        stream.read_until(b'\n', &mut line)?;
        Ok(line)
    };
    to_client.write_all(&line_of(&mut server)?)?;
    let (mut challenged, mut nth, mut last) = (false, 0, Vec::new());
    loop {
        let line = line_of(&mut client)?;
        if line.is_empty() {
            return Ok(());
        }
        keep(Direction::Client, &line);
        to_server.write_all(&line)?;
        let mut answer = line_of(&mut server)?;
        keep(Direction::Server, &answer);
        let is_login =
            challenged || [&b"AUTH "[..], b"PASS ", b"APOP "].iter().any(|verb| line.starts_with(verb));
        challenged = is_login && answer.starts_with(b"+ ");
        if line.starts_with(b"CAPA") || line.starts_with(b"RETR") {
            let more = answer.starts_with(b"+OK");
            while more && !answer.ends_with(b"\r\n.\r\n") {
                answer.extend_from_slice(&line_of(&mut server)?);
            }
        }
        if is_login {
            nth += 1;
            let before = std::mem::replace(&mut last, line.trim_ascii_end().to_vec());
            match meddling {
                Meddling::Closes(at) if at == nth => return Ok(()),
                Meddling::Hangs(at) if at == nth => {
                    while !line_of(&mut client)?.is_empty() {}
                    return Ok(());
                }
                Meddling::Repeats(part) if !challenged => answer = repeat(&answer, &last, part),
                Meddling::RepeatsTheOneBefore if !challenged => answer = repeat(&answer, &before, Part::Word),
                _ => {}
            }
        }
        to_client.write_all(&answer)?;
    }
}

/// The answer with its words replaced.
fn repeat(answer: &[u8], line: &[u8], part: Part) -> Vec<u8> {
    let status = answer.split(|octet| *octet == b' ').next().unwrap();
    let word = line.rsplit(|octet| *octet == b' ').next().unwrap();
    let decoded = match line {
        [b'P', b'A', b'S', b'S', b' ', password @ ..] => password.to_vec(),
        [b'A', b'P', b'O', b'P', b' ', ..] => word.to_vec(),
        _ => BASE64_STANDARD.decode(word).unwrap_or_default(),
    };
    let mut words = match part {
        Part::Line => line.to_vec(),
        Part::Word => word.to_vec(),
        Part::Decoded => decoded,
        Part::Proof => proof(&decoded),
    };
    words.iter_mut().filter(|octet| octet.is_ascii_control()).for_each(|octet| *octet = b' ');
    [status, b" what is ", &words, b" ?\r\n"].concat()
}

/// What the credentials are known by.
fn proof(message: &[u8]) -> Vec<u8> {
    let fields = message.split(|octet| *octet == b',');
    let mut proofs =
        fields.filter_map(|field| field.strip_prefix(b"p=").or(field.strip_prefix(b"response=")));
    if let Some(proof) = proofs.next() {
        return proof.to_vec();
    }
    let text =
        message.rsplit(|octet| matches!(octet, 0 | 1)).find(|field| !field.is_empty()).unwrap_or_default();
    let text = text.strip_prefix(b"auth=Bearer ").unwrap_or(text);
    text.strip_prefix(b"alice ").unwrap_or(text).to_vec()
}

/// What can be done without TLS of ours.
fn without_tls() -> impl Iterator<Item = Method> {
    methods().filter(|method| match method {
        Method::Sasl(mechanism) => !mechanism.binds_channel() && *mechanism != Mechanism::External,
        _ => true,
    })
}

helper! {
    /// A login with somebody in the middle, over a connection that is said to be safe; and all that is seen of it.
    fn meddled_with(server: &Server, login: &Login, meddling: Meddling, what: &str) {
        let seen = Seen::default();
        let middle = Middle::before(server, meddling);
        let mut timeouts = Timeouts::default();
        timeouts.login = ms(if matches!(meddling, Meddling::Hangs(_)) { 60 } else { 10_000 });
        let connector = Connector::new("localhost").port(middle.port).security(Security::ProtectedByCaller);
        let connector = seen.trace(connector.timeouts(timeouts));
        let mut client = go!(Client::connect(&connector)).unwrap();
        match go!(client.login(login)) {
            Ok(reply) => {
                seen.text(&format!("{reply}\n"));
                seen.debug(&reply);
            }
            Err(error) => {
                seen.error(&error);
                seen.debug(&login.after(&error));
            }
        }
        seen.debug(&client);
        if let Meddling::Hangs(_) = meddling {
            drop(client);
        } else {
            if let Err(error) = go!(client.noop()) {
                seen.error(&error);
            }
            seen.debug(&go!(client.quit()));
        }
        let treasures = middle.treasures();
        let is_whole = matches!(meddling, Meddling::Repeats(_) | Meddling::RepeatsTheOneBefore);
        let is_secret = !what.starts_with("ANONYMOUS") && is_whole;
        assert!(treasures.len() > secrets().len() || !is_secret, "{what}: nothing to look for");
        seen.hides(&treasures, if is_secret { &["C: ", "********"] } else { &["C: "] }, what);
    }

    fn repeated(part: Part) {
        let server = everything().start().unwrap();
        for method in without_tls() {
            // These have no text in them, or none that is secret.
            let opaque = matches!(method, Method::Sasl(Mechanism::Ntlm | Mechanism::Anonymous));
            if opaque && matches!(part, Part::Decoded | Part::Proof) {
                continue;
            }
            for (nth, login) in logins(method).iter().enumerate() {
                let what = format!("{method}, login {nth}, {part:?} repeated");
                go!(meddled_with(&server, login, Meddling::Repeats(part), &what));
            }
        }
    }
}

case! {
    fn p_133_the_search_finds_what_it_looks_for() {
        let line = |text: &str| (Direction::Client, BASE64_STANDARD.encode(text).into_bytes());
        let lines = [
            (Direction::Client, b"AUTH SCRAM-SHA-256 biwsbj1hbGljZSxyPWZ5a28r".to_vec()),
            (Direction::Server, b"+ cj1meWtvK2QybGJiRmdPTlJ2".to_vec()),
            line("c=biws,r=fyko+d2lbbFgONRv,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="),
            (Direction::Server, [b"+ ".to_vec(), line("v=rmF9pqV8S7suAoZWja4dJRkFsKQ=").1].concat()),
        ];
        let found = treasures(lines.iter().map(|(direction, line)| (*direction, line.as_slice())));
        for part in [
            "biwsbj1hbGljZSxyPWZ5a28r",
            "n,,n=alice,r=fyko+",
            "cj1meWtvK2QybGJiRmdPTlJ2",
            "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ] {
            assert!(found.iter().any(|treasure| treasure == part.as_bytes()), "{part}");
        }
        for treasure in &found {
            for coat in coats(treasure) {
                let seen = Seen::default();
                seen.text(&format!("   before {coat} after"));
                assert!(seen.finds(std::slice::from_ref(treasure)).is_some(), "{coat}");
            }
            let seen = Seen::default();
            seen.text("C: AUTH SCRAM-SHA-256 ********");
            seen.debug(treasure);
            assert!(seen.finds(std::slice::from_ref(treasure)).is_some());
        }
    }

    fn p_133_a_login_by_any_mechanism_shows_nothing_of_itself() {
        let server = everything().start().unwrap();
        for method in methods() {
            for (nth, login) in logins(method).iter().enumerate() {
                let answer = go!(watched(&server, login, &format!("{method}, login {nth}")));
                assert_eq!(answer.is_ok(), nth == 0, "{method}, login {nth}");
            }
        }
    }

    fn p_133_a_login_that_a_server_spoils_shows_nothing_of_itself() {
        for fault in [
            SaslFault::ForgedProof,
            SaslFault::MissingProof,
            SaslFault::ShortNonce,
            SaslFault::Iterations(1),
            SaslFault::Iterations(100_000_000),
            SaslFault::MandatoryExtension,
            SaslFault::OkEarly,
            SaslFault::ServerError("other-error".to_owned()),
            SaslFault::Endless,
            SaslFault::NotBase64,
            SaslFault::BareContinue,
            SaslFault::TrailingBlank,
            SaslFault::OkAfterCancel,
        ] {
            let server = everything().sasl_fault(fault.clone()).start().unwrap();
            for method in methods() {
                for (nth, login) in logins(method).iter().enumerate() {
                    let _ = go!(watched(&server, login, &format!("{method}, login {nth}, {fault:?}")));
                }
            }
        }
    }

    fn p_133_a_mechanism_that_is_refused_midway_shows_nothing_of_itself() {
        for mechanism in [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::Ntlm, Mechanism::DigestMd5] {
            let server = everything().refuse_auth_midway(mechanism).start().unwrap();
            let answer = go!(watched(&server, &logins(Method::Sasl(mechanism))[0], &format!("{mechanism} midway")));
            assert!(answer.is_err(), "{mechanism}");
        }
    }

    fn p_133_a_login_that_is_cut_off_shows_nothing_of_itself() {
        let server = everything().start().unwrap();
        for method in without_tls() {
            for at in 1..=2 {
                for meddling in [Meddling::Closes(at), Meddling::Hangs(at)] {
                    let what = format!("{method}, {meddling:?}");
                    go!(meddled_with(&server, &logins(method)[0], meddling, &what));
                }
            }
        }
    }

    fn p_133_a_server_that_repeats_the_line_is_not_quoted() {
        go!(repeated(Part::Line));
    }

    fn p_133_a_server_that_repeats_the_response_is_not_quoted() {
        go!(repeated(Part::Word));
    }

    fn p_133_a_server_that_repeats_the_decoded_response_is_not_quoted() {
        go!(repeated(Part::Decoded));
    }

    fn p_133_a_server_that_repeats_the_proof_is_not_quoted() {
        go!(repeated(Part::Proof));
    }

    fn p_133_a_server_that_repeats_a_password_in_latin_1_is_not_quoted() {
        let server = everything().script("AUTH PLAIN", b"-ERR [AUTH] p\xe4ssw0rd is wrong\r\n".to_vec()).start().unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        let login = Login::password("alice", "p\u{e4}ssw0rd").latin1_password().methods([Mechanism::Plain]);
        let error = go!(client.login(&login)).unwrap_err();
        let seen = Seen::default();
        seen.error(&error);
        seen.hides(&[b"p\xe4ssw0rd".to_vec(), b"ssw0rd".to_vec()], &["withheld"], "PLAIN in Latin-1");
    }

    fn p_133_a_server_that_repeats_an_earlier_response_is_not_quoted() {
        let server = everything().start().unwrap();
        let forging = everything().sasl_fault(SaslFault::ForgedProof).start().unwrap();
        for method in without_tls() {
            for server in [&server, &forging] {
                let what = format!("{method}, the response before the last");
                let login = &logins(method)[0];
                go!(meddled_with(server, login, Meddling::RepeatsTheOneBefore, &what));
            }
        }
    }

    fn p_133_what_repeats_no_secret_is_quoted() {
        // The password has a blank in it: what comes after that is no secret by itself.
        let server = everything().start().unwrap();
        for method in methods() {
            let mut client = go!(Client::connect(&tls(&server))).unwrap();
            let Some(wrong) = logins(method).into_iter().nth(2) else { continue };
            let error = go!(client.login(&wrong)).unwrap_err();
            let words = error.to_string();
            assert!(words.contains("-ERR [AUTH] wrong name or password"), "{method}: {words}");
        }
    }

    fn p_133_what_a_server_says_of_a_token_is_not_quoted_if_it_repeats_it() {
        for mechanism in [Mechanism::OAuthBearer, Mechanism::XOAuth2] {
            let response = BASE64_STANDARD.encode(format!("user=alice\x01auth=Bearer {TOKEN}\x01\x01"));
            // Two more ways to write the same in JSON.
            let in_json = TOKEN.replace('/', "\\/");
            let in_numbers: String = TOKEN.bytes().map(|octet| format!("\\u{octet:04x}")).collect();
            for said in [TOKEN, &in_json, &in_numbers] {
                let seen = Seen::default();
                let json = format!("{{\"status\":\"401\",\"scope\":\"{said}\",\"token\":\"{said}\"}}");
                let challenge = format!("+ {}\r\n", BASE64_STANDARD.encode(&json));
                let server = everything()
                    .script("AUTH XOAUTH2", "+ \r\n")
                    .script("AUTH OAUTHBEARER", challenge.as_str())
                    .script(&response, challenge.as_str())
                    .capability_lines(["SASL OAUTHBEARER XOAUTH2"], ["UIDL"])
                    .start()
                    .unwrap();
                let mut client = go!(Client::connect(&seen.trace(tls(&server)))).unwrap();
                let login = Login::token("alice", TOKEN).methods([mechanism]);
                let error = go!(client.login(&login)).unwrap_err();
                seen.error(&error);
                let mut treasures = secrets();
                treasures.push(in_json.clone().into_bytes());
                treasures.push(in_numbers.clone().into_bytes());
                seen.hides(&treasures, &["withheld"], &format!("{mechanism}, {said}"));
            }
        }
    }
}
