//! AUTH line by line (RFC 5034): the exchange and the client machine together, and servers that keep to nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use popwire_proto::command::{AuthCommand, NoopCommand, PassCommand, StatCommand, UserCommand};
use popwire_proto::sasl::{
    Anonymous, Binding, ClientMechanism, CramMd5, Error, Exchange, External, Hash, Login, Mechanism, Nonce,
    Ntlm, OAuthBearer, Plain, Scram, Start, Turn, XOAuth2,
};
use popwire_proto::{Client, Command, Limits, OutOfOrder, Reply, Secret, State, Status};
use proptest::prelude::*;

/// What the client makes of a line.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// It answers, and this is the line.
    Line(String),
    /// It answers a `+OK`.
    AfterOk(String),
    Accepted,
    Refused,
    Failed(Error),
}

pub(super) fn line(text: &str) -> Said {
    Said::Line(text.into())
}

/// A line whose base64 is of these octets.
pub(super) fn says(octets: impl AsRef<[u8]>) -> Said {
    Said::Line(STANDARD.encode(octets))
}

/// A challenge of these octets.
pub(super) fn challenge(octets: impl AsRef<[u8]>) -> String {
    format!("+ {}", STANDARD.encode(octets))
}

/// An exchange over a client machine.
pub(super) struct Talk {
    pub(super) client: Client,
    pub(super) exchange: Exchange,
    /// The AUTH line.
    pub(super) auth: String,
    /// After how many octets the network cuts each line.
    cut: usize,
}

fn greeted() -> Client {
    let mut client = Client::new(Limits::default());
    feed(&mut client, b"+OK ready\r\n");
    assert!(client.reply().unwrap().unwrap().is_ok());
    client
}

fn feed(client: &mut Client, octets: &[u8]) {
    let mut rest = octets;
    while !rest.is_empty() {
        let space = client.space();
        let (piece, tail) = rest.split_at(space.len().min(rest.len()));
        space[..piece.len()].copy_from_slice(piece);
        client.filled(piece.len());
        rest = tail;
    }
}

fn send<C: Command>(client: &mut Client, command: &C) -> String {
    client.submit(command).unwrap();
    let line = client.unsent().to_vec();
    client.sent(line.len());
    String::from_utf8(line).unwrap().strip_suffix("\r\n").unwrap().to_owned()
}

fn ask<C: Command>(client: &mut Client, command: &C, answer: &str) -> Reply {
    send(client, command);
    feed(client, format!("{answer}\r\n").as_bytes());
    client.reply().unwrap().unwrap()
}

impl Talk {
    fn on(mut client: Client, mechanism: Box<dyn ClientMechanism>, announced: bool) -> Self {
        let (exchange, auth) = Exchange::begin(mechanism, announced, client.limits()).unwrap();
        let auth = send(&mut client, &auth);
        Self { client, exchange, auth, cut: 0 }
    }

    /// The server announces SASL.
    pub(super) fn announced(mechanism: impl ClientMechanism + 'static) -> Self {
        Self::on(greeted(), Box::new(mechanism), true)
    }

    /// It does not.
    pub(super) fn unannounced(mechanism: impl ClientMechanism + 'static) -> Self {
        Self::on(greeted(), Box::new(mechanism), false)
    }

    /// The server says this line; what the client does then, it does.
    pub(super) fn hear(&mut self, server: &str) -> Said {
        let octets = format!("{server}\r\n").into_bytes();
        let (one, two) = octets.split_at(self.cut.min(octets.len() - 1));
        feed(&mut self.client, one);
        assert!(self.client.reply().unwrap().is_none(), "a reply out of half a line");
        feed(&mut self.client, two);
        let reply = self.client.reply().unwrap().expect("a whole line is a reply");
        match self.exchange.hear(&reply) {
            Turn::Send(command) => Said::Line(send(&mut self.client, &command)),
            Turn::SendAfterOk(command) => {
                self.client.take_for_challenge().unwrap();
                Said::AfterOk(send(&mut self.client, &command))
            }
            Turn::Accepted => Said::Accepted,
            Turn::Refused => Said::Refused,
            Turn::Failed(why) => Said::Failed(why),
            other => panic!("an unknown turn: {other:?}"),
        }
    }

    fn hears(&mut self, lines: &[&str]) {
        for server in lines {
            let said = self.hear(server);
            assert!(matches!(said, Said::Line(_) | Said::AfterOk(_)), "{said:?} to {server}");
        }
    }
}

/// Says whatever it was told to say, and repeats whatever it hears.
struct Parrot {
    name: &'static str,
    first: Option<Vec<u8>>,
    heard: bool,
}

impl ClientMechanism for Parrot {
    fn name(&self) -> &str {
        self.name
    }

    fn start(&mut self) -> Result<Start, Error> {
        Ok(self.first.take().map_or(Start::ServerFirst, |octets| Start::ClientFirst(octets.into())))
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Secret, Error> {
        self.heard = true;
        Ok(challenge.into())
    }

    fn has_proved(&self) -> bool {
        self.heard
    }

    fn is_done(&self) -> bool {
        self.heard
    }
}

fn parrot() -> Parrot {
    Parrot { name: "X-PARROT", first: None, heard: false }
}

fn plain() -> Plain {
    Plain::new("tim", "tanstaaftanstaaf")
}

fn login() -> Login {
    Login::new("tim", "tanstaaftanstaaf")
}

fn cram() -> CramMd5 {
    CramMd5::new("tim", "tanstaaftanstaaf")
}

fn bearer() -> OAuthBearer {
    OAuthBearer::new("tim@example.org", "abc.def-ghi==")
}

fn xoauth2() -> XOAuth2 {
    XOAuth2::new("tim@example.org", "abc.def-ghi==")
}

fn ntlm() -> Ntlm {
    Ntlm::new("tim", "tanstaaf", Nonce::known([0xaa; 8]), std::time::Duration::from_secs(1_700_000_000))
}

fn scram() -> Scram {
    Scram::new(Hash::Sha256, "user", "pencil", Binding::Unsupported, Nonce::known("rOprNGfwEbeRWgbNEkqO"))
}

const SERVER_FIRST: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

/// One of each that speaks first and one of each that does not, with their names.
fn all() -> Vec<(&'static str, Box<dyn ClientMechanism>)> {
    vec![
        ("PLAIN", Box::new(plain())),
        ("LOGIN", Box::new(login())),
        ("CRAM-MD5", Box::new(cram())),
        ("SCRAM-SHA-256", Box::new(scram())),
        ("OAUTHBEARER", Box::new(bearer())),
        ("XOAUTH2", Box::new(xoauth2())),
        ("EXTERNAL", Box::new(External::new().acting_as("tim"))),
        ("ANONYMOUS", Box::new(Anonymous::new("sirhc"))),
        ("NTLM", Box::new(ntlm())),
    ]
}

#[test]
fn p_101_no_initial_response_goes_to_a_server_that_does_not_announce_sasl() {
    for (name, mechanism) in all() {
        assert_eq!(Talk::on(greeted(), mechanism, false).auth, format!("AUTH {name}"));
    }
}

#[test]
fn p_102_an_initial_response_is_base64_in_the_auth_line() {
    // RFC 5034 section 6
    let plain = Plain::new("test", "test").acting_as("test");
    assert_eq!(Talk::announced(plain).auth, "AUTH PLAIN dGVzdAB0ZXN0AHRlc3Q=");
    // RFC 4505 section 4
    assert_eq!(Talk::announced(Anonymous::new("sirhc")).auth, "AUTH ANONYMOUS c2lyaGM=");
}

#[test]
fn p_102_an_empty_initial_response_is_one_equals_sign() {
    assert_eq!(Talk::announced(External::new()).auth, "AUTH EXTERNAL =");
    assert_eq!(Talk::announced(Anonymous::new("")).auth, "AUTH ANONYMOUS =");
}

#[test]
fn p_102_an_empty_response_to_a_challenge_is_an_empty_line_and_no_equals_sign() {
    let mut talk = Talk::unannounced(External::new());
    assert_eq!(talk.auth, "AUTH EXTERNAL");
    assert_eq!(talk.hear("+ "), line(""));
    assert_eq!(talk.hear("+OK"), Said::Accepted);
}

#[test]
fn p_102_nothing_stands_in_the_line_where_the_server_speaks_first() {
    assert_eq!(Talk::announced(login()).auth, "AUTH LOGIN");
    assert_eq!(Talk::announced(cram()).auth, "AUTH CRAM-MD5");
}

#[test]
fn p_103_an_auth_line_has_at_most_255_octets_with_its_end() {
    let response = vec![b'a'; 183];
    let encoded = STANDARD.encode(&response);
    assert_eq!(encoded.len(), 244);
    for (name, length) in [("XY", 254), ("XYZ", 255), ("WXYZ", 256)] {
        let parrot = Parrot { name, first: Some(response.clone()), heard: true };
        let mut talk = Talk::announced(parrot);
        let whole = format!("AUTH {name} {encoded}");
        assert_eq!(whole.len() + 2, length);
        if length <= 255 {
            assert_eq!(talk.auth, whole);
        } else {
            assert_eq!(talk.auth, format!("AUTH {name}"));
            assert!(!talk.exchange.has_spoken());
            assert_eq!(talk.hear("+ "), line(&encoded));
        }
        assert_eq!(talk.hear("+OK"), Said::Accepted);
    }
}

#[test]
fn p_103_another_bound_for_the_line_counts_where_it_is_set() {
    // AUTH ANONYMOUS c2ly
    let mut limits = Limits::default();
    for (bound, fits) in [(20, false), (21, true)] {
        limits.command_line = bound;
        let (_, auth) = Exchange::begin(Box::new(Anonymous::new("sir")), true, &limits).unwrap();
        assert_eq!(auth.initial.is_some(), fits);
    }
}

#[test]
fn p_104_an_empty_challenge_may_lack_its_blank() {
    for empty in ["+", "+ "] {
        assert_eq!(Talk::unannounced(plain()).hear(empty), says("\0tim\0tanstaaftanstaaf"));
        assert_eq!(Talk::announced(login()).hear(empty), says("tim"));
    }
}

#[test]
fn p_105_challenges_are_as_long_as_the_limit_allows_and_so_are_responses() {
    let text = "A".repeat((64 << 10) - 4);
    let mut talk = Talk::announced(parrot());
    assert_eq!(talk.hear(&format!("+ {text}")), Said::Line(text.clone()));
    let other = "B".repeat((64 << 10) - 4);
    assert_eq!(talk.hear(&format!("+ {other}")), Said::Line(other), "the long response was no harm");

    // One octet more is too many.
    let mut talk = Talk::announced(parrot());
    feed(&mut talk.client, format!("+ {text}A\r\n").as_bytes());
    assert!(matches!(talk.client.reply(), Err(popwire_proto::Error::LineTooLong { limit: 65_536 })));
}

#[test]
fn p_105_a_response_may_be_longer_than_any_challenge() {
    let password = "x".repeat(100_000);
    let mut talk = Talk::announced(Plain::new("tim", password.as_str()));
    assert_eq!(talk.auth, "AUTH PLAIN");
    assert_eq!(talk.hear("+ "), says(format!("\0tim\0{password}")));
    assert_eq!(talk.hear("+OK"), Said::Accepted);
}

#[test]
fn p_106_base64_is_strict() {
    for good in ["QUJD", "QQ==", "QUI=", "////", "+/+/"] {
        assert_eq!(Talk::announced(parrot()).hear(&format!("+ {good}")), line(good));
    }
    for bad in [
        "Q",
        "QQ",
        "QQ=",
        "QUI",
        "QUJDQ",
        "QQ===",
        "QQ==QQ==",
        "=QQ=",
        "Q=Q=",
        "====",
        "=",
        "QU JD",
        "QU\tJD",
        " QUJD",
        "QUJD!",
        "-_-_",
        "QR==",
        "QUJ=",
        "QUJD\u{e4}",
        "QUJD\0",
        "QUJD=",
        "*",
    ] {
        let mut talk = Talk::announced(parrot());
        assert_eq!(talk.hear(&format!("+ {bad}")), line("*"), "{bad:?}");
        assert_eq!(talk.hear("-ERR"), Said::Failed(Error::NotBase64), "{bad:?}");
    }
}

#[test]
fn p_107_q_034_words_where_nothing_could_stand_are_no_harm() {
    let words = "+ Go ahead, please!";
    assert_eq!(Talk::unannounced(plain()).hear(words), says("\0tim\0tanstaaftanstaaf"));
    assert_eq!(Talk::announced(plain()).hear(words), says("\0tim\0tanstaaftanstaaf"));
    assert_eq!(Talk::unannounced(scram()).hear(words), says("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"));
    let message = "user=tim@example.org\x01auth=Bearer abc.def-ghi==\x01\x01";
    assert_eq!(Talk::announced(xoauth2()).hear(words), says(message));
    let mut talk = Talk::announced(login());
    assert_eq!(talk.hear("+ Username:"), says("tim"));
    assert_eq!(talk.hear("+ Password:"), says("tanstaaftanstaaf"));
    assert_eq!(talk.hear("+OK"), Said::Accepted);
}

#[test]
fn p_107_words_where_a_challenge_belongs_end_the_exchange() {
    for mechanism in [Box::new(cram()) as Box<dyn ClientMechanism>, Box::new(scram()), Box::new(bearer())] {
        let mut talk = Talk::on(greeted(), mechanism, true);
        assert_eq!(talk.hear("+ Go ahead, please!"), line("*"));
        assert_eq!(talk.hear("-ERR"), Said::Failed(Error::NotBase64));
    }
    // A later challenge of one whose first said nothing has something to say.
    for (mechanism, before) in [
        (Box::new(scram()) as Box<dyn ClientMechanism>, "+ "),
        (Box::new(bearer()), "+ "),
        (Box::new(xoauth2()), "+ "),
    ] {
        let mut talk = Talk::on(greeted(), mechanism, false);
        talk.hears(&[before]);
        assert_eq!(talk.hear("+ {\"status\":\"401\"}"), line("*"));
        assert_eq!(talk.hear("-ERR"), Said::Failed(Error::NotBase64));
    }
}

#[test]
fn q_034_an_empty_challenge_where_words_belong_ends_cram_md5() {
    let mut talk = Talk::announced(cram());
    assert_eq!(talk.hear("+ "), line("*"));
    assert!(matches!(talk.hear("-ERR"), Said::Failed(Error::BadChallenge(_))));
    assert!(!talk.exchange.has_proved());
}

#[test]
fn a_server_that_overlooks_the_initial_response_gets_it_again_once() {
    let mut talk = Talk::announced(plain());
    assert_eq!(talk.hear("+"), says("\0tim\0tanstaaftanstaaf"));
    assert_eq!(talk.hear("+"), line("*"));
    assert_eq!(talk.hear("-ERR"), Said::Failed(Error::UnexpectedChallenge));
    let mut talk = Talk::announced(scram());
    assert_eq!(talk.hear("+ "), says("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"));
    assert!(matches!(talk.hear(&challenge(SERVER_FIRST)), Said::Line(_)));
    assert_eq!(talk.hear(&challenge(SERVER_FINAL)), line(""));
    assert_eq!(talk.hear("+OK"), Said::Accepted);
}

#[test]
fn p_108_after_a_cancelled_exchange_all_is_as_before() {
    let mut talk = Talk::announced(cram());
    assert_eq!(talk.hear("+ !"), line("*"));
    assert!(!talk.client.is_challenged(), "the answer to `*` has to come first");
    let early = talk.client.submit(&UserCommand { name: b"tim".to_vec() }).unwrap_err();
    assert_eq!(early, OutOfOrder::Sasl.into());
    assert_eq!(talk.hear("-ERR cancelled"), Said::Failed(Error::NotBase64));
    assert_eq!((talk.client.state(), talk.client.is_challenged()), (State::Authorization, false));
    let mut again = Talk::on(talk.client, Box::new(plain()), true);
    assert_eq!(again.hear("+OK"), Said::Accepted);
    assert_eq!(again.client.state(), State::Transaction);
}

#[test]
fn p_109_the_last_word_of_the_server_is_answered_by_an_empty_line() {
    let mut talk = Talk::announced(scram());
    talk.hears(&[&challenge(SERVER_FIRST)]);
    assert_eq!(talk.hear(&challenge(SERVER_FINAL)), line(""));
    assert_eq!(talk.hear("+OK"), Said::Accepted);
}

#[test]
fn p_109_what_stands_behind_ok_proves_nothing() {
    let mut talk = Talk::announced(scram());
    talk.hears(&[&challenge(SERVER_FIRST)]);
    let ok = format!("+OK {}", STANDARD.encode(SERVER_FINAL));
    assert_eq!(talk.hear(&ok), Said::Failed(Error::EarlySuccess));
}

/// Every mechanism with the challenges that lead to each point where a `+OK` is too early.
fn too_early() -> Vec<(Box<dyn ClientMechanism>, bool, Vec<String>)> {
    let first = challenge(SERVER_FIRST);
    let failure = challenge(r#"{"status":"invalid_token"}"#);
    let mut points: Vec<(Box<dyn ClientMechanism>, bool, Vec<String>)> = vec![
        (Box::new(login()), true, vec![]),
        (Box::new(login()), true, vec!["+ VXNlcm5hbWU6".into()]),
        (Box::new(cram()), true, vec![]),
        (Box::new(scram()), true, vec![]),
        (Box::new(scram()), true, vec!["+".into()]),
        (Box::new(scram()), true, vec![first.clone()]),
        (Box::new(scram()), false, vec!["+".into(), first]),
        (Box::new(bearer()), true, vec![failure.clone()]),
        (Box::new(bearer()), false, vec!["+".into(), failure.clone()]),
        (Box::new(xoauth2()), true, vec!["+".into(), failure]),
        (Box::new(ntlm()), false, vec!["+".into()]),
    ];
    for (name, mechanism) in all() {
        if !matches!(name, "LOGIN" | "CRAM-MD5" | "NTLM") {
            // What waits for a challenge was not said yet.
            points.push((mechanism, false, vec![]));
        }
    }
    points
}

#[test]
fn p_124_ok_before_the_end_is_never_believed() {
    for (mechanism, announced, lines) in too_early() {
        let name = mechanism.name().to_owned();
        let mut talk = Talk::on(greeted(), mechanism, announced);
        for server in &lines {
            assert!(matches!(talk.hear(server), Said::Line(_)), "{name} {lines:?}");
        }
        assert_eq!(
            talk.hear("+OK welcome"),
            Said::Failed(Error::EarlySuccess),
            "{name} {announced} {lines:?}"
        );
    }
}

#[test]
fn err_at_any_step_is_a_refusal() {
    for (mechanism, announced, lines) in too_early() {
        let name = mechanism.name().to_owned();
        let mut talk = Talk::on(greeted(), mechanism, announced);
        lines.iter().for_each(|server| assert!(matches!(talk.hear(server), Said::Line(_))));
        assert_eq!(talk.hear("-ERR [AUTH] no"), Said::Refused, "{name} {announced} {lines:?}");
        assert_eq!((talk.client.state(), talk.client.is_challenged()), (State::Authorization, false));
    }
}

#[test]
fn ok_after_a_cancelled_exchange_is_no_login() {
    for (name, mechanism) in all() {
        // Something that each of them cannot answer.
        let mut talk = Talk::on(greeted(), mechanism, true);
        let mut said = talk.hear("+ ?");
        for _ in 0..3 {
            if said == line("*") {
                break;
            }
            said = talk.hear("+ ?");
        }
        assert_eq!(said, line("*"), "{name}");
        assert_eq!(talk.hear("+OK come in"), Said::Failed(Error::EarlySuccess), "{name}");
    }
}

#[test]
fn ok_after_a_cancelled_exchange_keeps_a_graver_reason() {
    let mut talk = Talk::announced(scram());
    assert_eq!(talk.hear(&challenge("r=another,s=QQ==,i=4096")), line("*"));
    assert_eq!(talk.hear("+OK"), Said::Failed(Error::WrongNonce));
}

#[test]
fn another_challenge_after_a_cancelled_exchange_is_cancelled_again_and_in_the_end_left() {
    for (name, mechanism) in all() {
        for announced in [true, false] {
            let mechanism = all().into_iter().find(|(other, _)| *other == name).map(|(_, new)| new).unwrap();
            let mut talk = Talk::on(greeted(), mechanism, announced);
            let mut cancelled = 0;
            let mut lines = 0;
            let why = loop {
                lines += 1;
                assert!(lines < 100, "{name} goes on for ever");
                match talk.hear(if lines % 2 == 0 { "+ QUJD" } else { "+ !" }) {
                    Said::Line(text) if text == "*" => cancelled += 1,
                    Said::Line(text) => assert_eq!(cancelled, 0, "{name} goes on after `*`: {text}"),
                    Said::Failed(why) => break why,
                    other => panic!("{name}: {other:?}"),
                }
            };
            assert!(cancelled > 1, "{name}");
            assert!(!why.is_server_untrusted(), "{name}: {why}");
        }
        drop(mechanism);
    }
}

#[test]
fn endless_challenges_end() {
    let mut talk = Talk::announced(parrot());
    let mut lines = 0;
    let why = loop {
        lines += 1;
        assert!(lines < 100, "it goes on for ever");
        let server = challenge(format!("challenge-{lines}"));
        match talk.hear(&server) {
            Said::Line(text) => assert!(server.ends_with(&text) || text == "*", "{text}"),
            Said::Failed(why) => break why,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(why, Error::UnexpectedChallenge);
    assert!(lines > 60);
}

#[test]
fn a_challenge_that_happens_to_hold_what_was_sent_is_still_read() {
    // Tokens are binary: the last field of one may be a single letter, and most challenges have that letter.
    for sent in [&b"\x60\x82\0A"[..], b"\x60\x82\x01Q", b"\x60\x82 w"] {
        let mut talk = Talk::announced(parrot());
        assert_eq!(talk.hear(&challenge(sent)), says(sent));
        let next = STANDARD.encode([0; 30]) + "Qw==";
        assert_eq!(talk.hear(&format!("+ {next}")), line(&next), "{sent:?}");
    }
}

#[test]
fn a_finished_exchange_is_never_accepted_afterwards() {
    let replies = |lines: &[&str]| -> Vec<Reply> {
        let mut client = greeted();
        lines
            .iter()
            .map(|server| {
                let auth = AuthCommand { mechanism: b"X".to_vec(), initial: None };
                let reply = ask(&mut client, &auth, server);
                if reply.status() == Status::Continue {
                    let cancel = popwire_proto::command::AuthResponseCommand { response: "*".into() };
                    ask(&mut client, &cancel, "-ERR");
                }
                reply
            })
            .collect()
    };
    let heard = replies(&["-ERR", "+ !", "+ QUJD", "+OK"]);
    let [err, bad, more, ok] = heard.as_slice() else { panic!() };
    // Refused, then let in.
    let (mut exchange, _) = Exchange::begin(Box::new(plain()), true, &Limits::default()).unwrap();
    assert!(matches!(exchange.hear(err), Turn::Refused));
    assert!(matches!(exchange.hear(ok), Turn::Failed(_)), "after a refusal");
    // Cancelled, refused, then let in.
    let (mut exchange, _) = Exchange::begin(Box::new(plain()), true, &Limits::default()).unwrap();
    assert!(matches!(exchange.hear(more), Turn::Send(_)));
    assert!(matches!(exchange.hear(err), Turn::Failed(Error::UnexpectedChallenge)));
    assert!(matches!(exchange.hear(ok), Turn::Failed(_)), "after a cancelled exchange");
    // A server that was found out must not get the password.
    let (mut exchange, _) = Exchange::begin(Box::new(login()), true, &Limits::default()).unwrap();
    assert!(matches!(exchange.hear(ok), Turn::Failed(Error::EarlySuccess)));
    for _ in 0..3 {
        match exchange.hear(bad) {
            Turn::Send(line) => assert_eq!(line.response.expose(), b"*"),
            other => assert!(matches!(other, Turn::Failed(_)), "{other:?}"),
        }
    }
}

#[test]
fn p_116_names_of_mechanisms_are_read_in_any_letter_case() {
    for mechanism in Mechanism::ALL {
        let name = mechanism.name();
        let mixed: String = name
            .chars()
            .enumerate()
            .map(|(at, letter)| if at % 2 == 0 { letter.to_ascii_lowercase() } else { letter })
            .collect();
        for text in [name.to_owned(), name.to_ascii_lowercase(), mixed] {
            assert_eq!(text.parse(), Ok(mechanism), "{text}");
        }
        assert!(format!("{name} ").parse::<Mechanism>().is_err());
        assert!(format!(" {name}").parse::<Mechanism>().is_err());
        assert!(name[1..].parse::<Mechanism>().is_err());
        assert_eq!(mechanism.to_string(), name);
    }
    assert!("".parse::<Mechanism>().is_err());
    // U+017F is a long s: its capital is S, and it is none.
    assert!("\u{17f}CRAM-SHA-1".parse::<Mechanism>().is_err());
}

#[test]
fn the_name_of_each_half_is_the_registered_one() {
    for (name, mechanism) in all() {
        assert_eq!(mechanism.name(), name);
        assert_eq!(mechanism.name().parse::<Mechanism>().map(Mechanism::name), Ok(name));
    }
}

#[test]
fn p_133_mechanisms_that_reveal_the_secret_are_known() {
    let revealing: Vec<&str> =
        Mechanism::ALL.into_iter().filter(|it| it.reveals_secret()).map(Mechanism::name).collect();
    assert_eq!(revealing, ["PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2"]);
}

#[test]
fn q_033_ok_for_a_challenge_is_taken_from_auth_ntlm_once() {
    let mut talk = Talk::announced(ntlm());
    assert_eq!(talk.auth, "AUTH NTLM");
    let Said::AfterOk(first) = talk.hear("+OK") else { panic!("NTLM has to go on") };
    assert!(STANDARD.decode(first).unwrap().starts_with(b"NTLMSSP\0\x01"));
    assert_eq!(talk.client.state(), State::Authorization, "nobody is in yet");
    assert_eq!(talk.hear("+OK"), Said::Failed(Error::EarlySuccess));
}

#[test]
fn q_033_ok_for_a_challenge_is_taken_from_nobody_else() {
    for (name, mechanism) in all() {
        if name != "NTLM" {
            let mut talk = Talk::on(greeted(), mechanism, false);
            assert_eq!(talk.hear("+OK"), Said::Failed(Error::EarlySuccess), "{name}");
        }
    }
}

#[test]
fn q_033_after_ok_for_a_challenge_something_was_said() {
    let mut talk = Talk::announced(ntlm());
    assert!(!talk.exchange.has_spoken());
    assert!(matches!(talk.hear("+OK"), Said::AfterOk(_)));
    assert!(talk.exchange.has_spoken(), "the first message of NTLM is more than its name");
    assert!(!talk.exchange.has_proved());
}

#[test]
fn q_033_the_machine_takes_ok_for_a_challenge_only_right_after_auth() {
    let refused: Result<(), popwire_proto::Error> = Err(OutOfOrder::Sasl.into());
    let auth = AuthCommand { mechanism: b"NTLM".to_vec(), initial: None };
    assert_eq!(Client::new(Limits::default()).take_for_challenge(), refused);

    let mut client = greeted();
    assert_eq!(client.take_for_challenge(), refused, "the greeting");
    ask(&mut client, &UserCommand { name: b"tim".to_vec() }, "+OK");
    assert_eq!(client.take_for_challenge(), refused, "USER");
    ask(&mut client, &auth, "-ERR");
    assert_eq!(client.take_for_challenge(), refused, "-ERR");
    send(&mut client, &auth);
    assert_eq!(client.take_for_challenge(), refused, "no answer yet");
    feed(&mut client, b"+OK\r\n");
    assert_eq!(client.take_for_challenge(), refused, "the answer was not taken");
    assert!(client.reply().unwrap().unwrap().is_ok());
    assert_eq!(client.take_for_challenge(), Ok(()));
    assert!(client.is_challenged());
    assert_eq!(client.take_for_challenge(), refused, "twice");
    assert_eq!(client.state(), State::Authorization);
    assert_eq!(client.submit(&StatCommand).unwrap_err(), OutOfOrder::Sasl.into());
    let response = popwire_proto::command::AuthResponseCommand { response: "QUJD".into() };
    ask(&mut client, &response, "+OK");
    assert_eq!(client.state(), State::Transaction);
    ask(&mut client, &NoopCommand, "+OK");
    assert_eq!(client.take_for_challenge(), refused, "NOOP");
}

#[test]
fn q_033_the_machine_takes_nothing_but_ok_for_a_challenge() {
    let refused: Result<(), popwire_proto::Error> = Err(OutOfOrder::Sasl.into());
    for answer in ["-ERR already in", "+ QUJD"] {
        let mut client = greeted();
        ask(&mut client, &UserCommand { name: b"tim".to_vec() }, "+OK");
        ask(&mut client, &PassCommand { password: "tanstaaf".into() }, "+OK");
        let auth = AuthCommand { mechanism: b"NTLM".to_vec(), initial: None };
        ask(&mut client, &auth, answer);
        assert_eq!(client.take_for_challenge(), refused, "{answer}");
        assert_eq!(client.state(), State::Transaction, "{answer}");
    }
}

/// A conversation, and what is known before it and after each line of the server's: whether anything was said, and
/// whether the credentials were put to the test.
struct Course {
    mechanism: Box<dyn ClientMechanism>,
    announced: bool,
    lines: Vec<String>,
    known: &'static [(bool, bool)],
}

fn course(
    mechanism: impl ClientMechanism + 'static,
    announced: bool,
    lines: &[&str],
    known: &'static [(bool, bool)],
) -> Course {
    let lines = lines.iter().map(|server| (*server).to_owned()).collect();
    Course { mechanism: Box::new(mechanism), announced, lines, known }
}

#[test]
fn what_was_said_and_what_was_proved_is_known_at_every_point() {
    const NOTHING: (bool, bool) = (false, false);
    const NAME: (bool, bool) = (true, false);
    const PROOF: (bool, bool) = (true, true);
    let first = challenge(SERVER_FIRST);
    let last = challenge(SERVER_FINAL);
    let failure = challenge("{}");
    let fault = challenge("e=invalid-proof");
    let courses = [
        course(plain(), true, &["+OK"], &[PROOF, PROOF]),
        course(plain(), true, &["-ERR"], &[PROOF, PROOF]),
        course(plain(), true, &["+", "+", "-ERR"], &[PROOF, PROOF, PROOF, PROOF]),
        course(plain(), false, &["-ERR"], &[NOTHING, NOTHING]),
        course(plain(), false, &["+", "+OK"], &[NOTHING, PROOF, PROOF]),
        course(login(), true, &["-ERR"], &[NOTHING, NOTHING]),
        course(login(), true, &["+", "-ERR"], &[NOTHING, NAME, NAME]),
        course(login(), true, &["+", "+", "-ERR"], &[NOTHING, NAME, PROOF, PROOF]),
        course(login(), true, &["+", "+", "+", "-ERR"], &[NOTHING, NAME, PROOF, PROOF, PROOF]),
        course(cram(), true, &["+ QUJD", "-ERR"], &[NOTHING, PROOF, PROOF]),
        course(scram(), true, &[&first, &last, "+OK"], &[NAME, PROOF, PROOF, PROOF]),
        course(scram(), false, &["+", &first, &last, "+OK"], &[NOTHING, NAME, PROOF, PROOF, PROOF]),
        course(scram(), true, &["+ QUJD", "-ERR"], &[NAME, NAME, NAME]),
        // The server's own word for a wrong proof comes after the proof.
        course(scram(), true, &[&first, &fault, "-ERR"], &[NAME, PROOF, PROOF, PROOF]),
        course(scram(), true, &[&fault, "-ERR"], &[NAME, NAME, NAME]),
        course(bearer(), true, &[&failure, "-ERR"], &[PROOF, PROOF, PROOF]),
        course(bearer(), false, &["+", &failure, "-ERR"], &[NOTHING, PROOF, PROOF, PROOF]),
        course(xoauth2(), true, &["+", &failure, "-ERR"], &[NOTHING, PROOF, PROOF, PROOF]),
        course(External::new(), true, &["+OK"], &[PROOF, PROOF]),
        course(External::new(), false, &["+", "+OK"], &[NOTHING, PROOF, PROOF]),
        course(Anonymous::new(""), true, &["+OK"], &[PROOF, PROOF]),
        course(ntlm(), true, &["+", "-ERR"], &[NOTHING, NAME, NAME]),
    ];
    for Course { mechanism, announced, lines, known } in courses {
        let name = mechanism.name().to_owned();
        assert_eq!(lines.len() + 1, known.len());
        let mut talk = Talk::on(greeted(), mechanism, announced);
        let state = |talk: &Talk| (talk.exchange.has_spoken(), talk.exchange.has_proved());
        let mut found = vec![state(&talk)];
        for server in &lines {
            talk.hear(server);
            found.push(state(&talk));
        }
        assert_eq!(found, known, "{name}, announced: {announced}, {lines:?}");
    }
}

#[test]
fn only_the_work_of_scram_may_take_long() {
    for (name, mechanism) in all() {
        let talk = Talk::on(greeted(), mechanism, true);
        assert_eq!(talk.exchange.may_block(), name == "SCRAM-SHA-256", "{name}");
    }
    let mut talk = Talk::announced(scram());
    talk.hears(&[&challenge(SERVER_FIRST)]);
    assert!(!talk.exchange.may_block());
}

#[test]
fn nothing_is_sent_of_what_cannot_begin() {
    let limits = Limits::default();
    for mechanism in [
        Box::new(Plain::new("", "x")) as Box<dyn ClientMechanism>,
        Box::new(Login::new("", "x")),
        Box::new(CramMd5::new("", "x")),
        Box::new(OAuthBearer::new("tim", "")),
        Box::new(Anonymous::new("a\nb")),
    ] {
        let name = mechanism.name().to_owned();
        let error = Exchange::begin(mechanism, true, &limits).unwrap_err();
        assert!(error.is_credentials() && !error.is_server_untrusted(), "{name}: {error}");
    }
}

#[test]
fn a_whole_conversation_is_the_same_wherever_the_network_cuts_it() {
    let first = challenge(SERVER_FIRST);
    let last = challenge(SERVER_FINAL);
    let lines = ["+", first.as_str(), last.as_str(), "+OK maildrop has 1 message"];
    let longest = lines.iter().map(|text| text.len() + 2).max().unwrap();
    let play = |cut| {
        let mut talk = Talk::unannounced(scram());
        talk.cut = cut;
        lines.map(|server| talk.hear(server))
    };
    let whole = play(0);
    assert_eq!(whole[3], Said::Accepted);
    for cut in 1..longest {
        assert_eq!(play(cut), whole, "cut after {cut}");
    }
}

/// Lines of a server that says anything.
fn server_line() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..60).prop_map(challenge),
        2 => "[ -~]{0,40}".prop_map(|words| format!("+ {words}")),
        2 => prop::sample::select(vec!["+".to_owned(), challenge(SERVER_FIRST), challenge("e=no"), challenge("{}")]),
        1 => prop::sample::select(vec!["+OK".to_owned(), "+OK [x] y".to_owned(), "-ERR".to_owned()]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nobody_is_let_in_unproved_whatever_a_server_says(
        lines in prop::collection::vec(server_line(), 1..8),
        announced in any::<bool>(),
    ) {
        for (name, mechanism) in all() {
            let mut talk = Talk::on(greeted(), mechanism, announced);
            let mut said = Vec::new();
            for server in &lines {
                let turn = talk.hear(server);
                if turn == Said::Accepted {
                    prop_assert!(talk.exchange.has_proved(), "{} {:?}", name, said);
                    prop_assert!(!said.contains(&line("*")), "{} {:?}", name, said);
                    prop_assert!(talk.exchange.failure().is_none(), "{}", name);
                    // Nobody here knows the password of this one, nor says its last word.
                    prop_assert!(name != "SCRAM-SHA-256");
                }
                if !matches!(turn, Said::Line(_) | Said::AfterOk(_)) {
                    break;
                }
                if said.contains(&line("*")) {
                    prop_assert_eq!(&turn, &line("*"), "{} goes on after `*`", name);
                }
                said.push(turn);
            }
        }
    }
}
