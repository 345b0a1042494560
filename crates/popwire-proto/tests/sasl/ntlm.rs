//! NTLM: a login octet by octet, both halves against each other, and server messages that are not what they should be.
//! The published values of MS-NLMP section 4.2 are looked at within the crate: the time in them is none that a clock
//! shows.

use std::time::Duration;

use popwire_proto::Secret;
use popwire_proto::sasl::server::{Directory, Refusal, ServerMechanism as _, Turn};
use popwire_proto::sasl::{ClientMechanism as _, Error, Nonce, Ntlm, Start, server};

const NOW: Duration = Duration::from_secs(1_700_000_000);

/// `NOW` as FILETIME: tenths of microseconds since 1601.
const FILETIME: u64 = 133_444_736_000_000_000;

const SERVER: [u8; 8] = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];

struct Users(Vec<(&'static str, &'static str)>);

impl Directory for Users {
    fn password(&self, user: &[u8]) -> Option<Secret> {
        self.0.iter().find(|(name, _)| name.as_bytes() == user).map(|(_, password)| Secret::from(*password))
    }

    fn user_of_token(&self, _: &[u8], _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn user_of_certificate(&self) -> Option<Vec<u8>> {
        None
    }

    fn anonymous(&self) -> Option<Vec<u8>> {
        None
    }
}

fn users() -> Users {
    Users(vec![
        ("User", "Password"),
        ("tim", "tanstaaf"),
        ("CORP\\tim", "other"),
        ("ann@example.org", "secret"),
        ("jürgen", "größe €"),
        ("Ж", "пароль"),
        ("empty", ""),
    ])
}

fn client(user: &str, password: &str) -> Ntlm {
    Ntlm::new(user, password, Nonce::known([0xaa; 8]), NOW)
}

/// One that has handed out its first message.
fn started(user: &str, password: &str) -> Ntlm {
    let mut ntlm = client(user, password);
    ntlm.start().unwrap();
    ntlm
}

fn half() -> server::Ntlm {
    server::Ntlm::new("POP", Nonce::known(SERVER), NOW)
}

fn first(client: &mut Ntlm) -> Secret {
    match client.start() {
        Ok(Start::ClientFirst(message)) => message,
        other => panic!("{other:?}"),
    }
}

/// Lets both halves talk; `change` may change the server's message on its way. `None` if the client breaks off.
fn talk(mut client: Ntlm, change: impl Fn(&mut Vec<u8>)) -> Option<Turn> {
    let mut server = half();
    assert!(!server.speaks_first());
    let negotiate = first(&mut client);
    let Turn::Challenge(mut challenge) = server.respond(Some(negotiate.expose()), &users()) else { panic!() };
    change(&mut challenge);
    let response = client.respond(&challenge);
    assert_eq!(client.is_done(), response.is_ok());
    assert_eq!(client.has_proved(), response.is_ok());
    response.ok().map(|response| server.respond(Some(response.expose()), &users()))
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn pair(id: u16, value: &[u8]) -> Vec<u8> {
    [&id.to_le_bytes(), &u16::try_from(value.len()).unwrap().to_le_bytes(), value].concat()
}

/// A server's message with these attributes; they need an end.
fn challenge(flags: u32, list: &[u8]) -> Vec<u8> {
    let length = u16::try_from(list.len()).unwrap().to_le_bytes();
    [
        b"NTLMSSP\0\x02\0\0\0".as_slice(),
        &[6, 0, 6, 0, 56, 0, 0, 0],
        &flags.to_le_bytes(),
        &SERVER,
        &[0; 8],
        &length,
        &length,
        &[62, 0, 0, 0],
        &[6, 1, 0, 0, 0, 0, 0, 15],
        &utf16("POP"),
        list,
    ]
    .concat()
}

/// Unicode, target, NTLM, and target information.
const FLAGS: u32 = 0x0080_0205;

/// The names that MS-NLMP section 4.2.4 has.
fn names() -> Vec<u8> {
    [pair(2, &utf16("Domain")), pair(1, &utf16("Server"))].concat()
}

fn end() -> Vec<u8> {
    pair(0, b"")
}

fn number(message: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(message[at..at + 4].try_into().unwrap())
}

/// What a field of a message points to.
fn field(message: &[u8], at: usize) -> &[u8] {
    let length = usize::from(u16::from_le_bytes([message[at], message[at + 1]]));
    assert_eq!(message[at..at + 2], message[at + 2..at + 4]);
    let offset = number(message, at + 4) as usize;
    &message[offset..offset + length]
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[test]
fn the_first_message_waits_for_the_server_to_ask() {
    let mut ntlm = client("tim", "tanstaaf");
    assert_eq!(ntlm.name(), "NTLM");
    assert!(!ntlm.allows_initial_response());
    assert!(ntlm.ignores_challenge() && ntlm.takes_ok_for_challenge());
    let message = first(&mut ntlm);
    assert_eq!(hex(message.expose()), "4e544c4d535350000100000005820800".to_owned() + &"0".repeat(32));
    // Some servers say +OK for the first challenge.
    assert!(ntlm.takes_ok_for_challenge());
    assert!(!ntlm.has_proved() && !ntlm.is_done());
    ntlm.respond(&challenge(FLAGS, &end())).unwrap();
    assert!(!ntlm.takes_ok_for_challenge() && !ntlm.ignores_challenge());
    assert!(ntlm.has_proved() && ntlm.is_done());
    assert_eq!(ntlm.respond(&challenge(FLAGS, &end())).unwrap_err(), Error::UnexpectedChallenge);
}

#[test]
fn nothing_is_answered_before_the_first_message() {
    assert_eq!(client("a", "b").respond(&challenge(FLAGS, &end())).unwrap_err(), Error::UnexpectedChallenge);
}

/// The LMv2 response is the published one of MS-NLMP section 4.2.4.2.1; the other comes from an independent computation
/// with another time.
#[test]
fn without_a_timestamp_both_responses_are_sent_and_no_mic() {
    let list = [names(), end()].concat();
    let message = started(r"Domain\User", "Password").respond(&challenge(FLAGS, &list)).unwrap();
    let message = message.expose();
    assert_eq!(message[..12], *b"NTLMSSP\0\x03\0\0\0");
    assert_eq!(hex(field(message, 12)), "86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa");
    let nt = field(message, 20);
    let temp =
        [&[1, 1, 0, 0, 0, 0, 0, 0], FILETIME.to_le_bytes().as_slice(), &[0xaa; 8], &[0; 4], &list, &[0; 4]]
            .concat();
    assert_eq!(nt[16..], temp);
    assert_eq!(hex(&nt[..16]), "967f1c4d57eee152f94f85aa311dd4dd");
    assert_eq!(field(message, 28), utf16("Domain"));
    assert_eq!(field(message, 36), utf16("User"));
    assert_eq!(message[44..60], [0; 16]);
    // What both sides know, and no more: never OEM, signing, sealing or an exchange of keys.
    assert_eq!(number(message, 60), FLAGS);
    assert_eq!(message[64..72], [0; 8]);
    // No room is left for a MIC.
    assert_eq!(number(message, 16), 72);
}

/// All the digests come from an independent computation.
#[test]
fn with_a_timestamp_there_is_a_mic_and_no_older_response() {
    let time = 130_000_000_000_000_000_u64.to_le_bytes();
    let list = [names(), pair(7, &time), end()].concat();
    let challenge = challenge(FLAGS, &list);
    let message = started(r"Domain\User", "Password").respond(&challenge).unwrap();
    let message = message.expose();
    assert_eq!(field(message, 12), [0; 24]);
    let nt = field(message, 20);
    let list = [names(), pair(7, &time), pair(6, &[2, 0, 0, 0]), end()].concat();
    let temp =
        [&[1, 1, 0, 0, 0, 0, 0, 0], time.as_slice(), &[0xaa; 8], &[0; 4], list.as_slice(), &[0; 4]].concat();
    assert_eq!(nt[16..], temp);
    assert_eq!(hex(&nt[..16]), "f56330375f20c6c7bffa755e1dbfdf72");
    assert_eq!(hex(&message[72..88]), "261d2dac47fe2bb77c78977caa1f6487");
    assert_eq!(number(message, 16), 88);
    assert_eq!(message.len(), 88 + 24 + nt.len() + 12 + 8);
}

#[test]
fn the_flags_of_the_server_stay() {
    let list = [pair(6, &[1, 0, 0, 0]), pair(7, &[0; 8]), names(), end()].concat();
    let message = started("User", "Password").respond(&challenge(FLAGS, &list)).unwrap();
    let nt = field(message.expose(), 20);
    let expected = [pair(6, &[3, 0, 0, 0]), pair(7, &[0; 8]), names(), end()].concat();
    assert_eq!(nt[44..nt.len() - 4], expected);
}

#[test]
fn flags_that_nobody_asked_for_are_not_agreed_to() {
    let message = started("User", "Password").respond(&challenge(0xffff_ffff, &end())).unwrap();
    assert_eq!(number(message.expose(), 60), 0x0088_8205);
}

#[test]
fn the_domain_stands_before_the_backslash_and_nowhere_else() {
    for (name, domain, user) in [
        ("tim", "", "tim"),
        (r"CORP\tim", "CORP", "tim"),
        (r"\tim", "", "tim"),
        (r"a\b\c", "a", r"b\c"),
        ("tim@corp.example", "", "tim@corp.example"),
        (r"CORP\tim@x", "CORP", "tim@x"),
    ] {
        let message = started(name, "x").respond(&challenge(FLAGS, &end())).unwrap();
        assert_eq!(field(message.expose(), 28), utf16(domain), "{name}");
        assert_eq!(field(message.expose(), 36), utf16(user), "{name}");
    }
}

#[test]
fn a_message_without_target_information_will_do() {
    // As older servers write it: nothing after the reserved octets.
    let flags = FLAGS & !0x0080_0000;
    let short = challenge(flags & !4, b"")[..32].to_vec();
    for message in [short, challenge(flags, b""), challenge(FLAGS, b"")] {
        let response = started("tim", "tanstaaf").respond(&message).unwrap();
        assert_eq!(field(response.expose(), 20).len(), 16 + 28 + 4 + 4);
        assert_ne!(field(response.expose(), 12), [0; 24]);
    }
}

#[test]
fn names_and_passwords_that_cannot_be_used_are_found_first() {
    for (user, password, error) in [
        (&b""[..], &b"x"[..], Error::EmptyName),
        (b"DOMAIN\\", b"x", Error::EmptyName),
        (b"\xff", b"x", Error::Unpreparable),
        (b"tim", b"\xff", Error::Unpreparable),
        (&[b'a'; 32_768], b"x", Error::Unpreparable),
    ] {
        let mut ntlm = Ntlm::new(user, password, Nonce::known([0; 8]), NOW);
        assert_eq!(ntlm.start().unwrap_err(), error);
        assert!(error.is_credentials());
    }
    // The longest that can be said.
    let longest = [b'a'; 32_767];
    let mut ntlm = Ntlm::new(longest, "x", Nonce::known([0; 8]), NOW);
    ntlm.start().unwrap();
    assert_eq!(field(ntlm.respond(&challenge(FLAGS, &end())).unwrap().expose(), 36).len(), 65_534);
}

#[test]
fn garbage_for_a_challenge_is_refused() {
    let bad = |message: &[u8]| {
        let mut ntlm = started("tim", "tanstaaf");
        let answer = ntlm.respond(message);
        assert!(matches!(answer, Err(Error::BadChallenge(_))), "{message:?}");
        assert!(!ntlm.has_proved() && !ntlm.is_done());
    };
    bad(b"");
    bad(b"NTLM");
    bad(&[0xff; 200]);
    bad(first(&mut client("tim", "x")).expose());
    // Not Unicode.
    bad(&challenge(FLAGS & !1, &end()));
    // Attributes without an end, and ones that are longer than what is there.
    for list in [
        &b"\0"[..],
        b"\x07\0\x08\0",
        b"\x01\0\xff\xff",
        b"\x01\0\x01\0x",
        // A time and flags of a wrong length.
        b"\x07\0\x07\x00abcdefg\0\0\0\0",
        b"\x07\0\x09\x00abcdefghi\0\0\0\0",
        b"\x07\0\x08\x00abcdefgh\x06\0\x01\0x\0\0\0\0",
    ] {
        bad(&challenge(FLAGS, list));
    }
    // Fields that lie outside, or within the fixed part.
    for at in [12, 40] {
        for (length, offset) in
            [(8, 200), (0xffff, 56), (1, u32::MAX), (0xffff, u32::MAX), (8, 0), (8, 31), (1, 75)]
        {
            let mut message = challenge(FLAGS, &end());
            let length = u16::to_le_bytes(length);
            message[at..at + 2].copy_from_slice(&length);
            message[at + 4..at + 8].copy_from_slice(&u32::to_le_bytes(offset));
            bad(&message);
        }
    }
}

#[test]
fn target_information_that_cannot_be_answered_is_refused() {
    // As long as can be said; the response would be longer.
    let list = [pair(7, &[0; 8]), pair(9, &[0; 65_515]), end()].concat();
    let answer = started("tim", "tanstaaf").respond(&challenge(FLAGS, &list));
    assert!(matches!(answer, Err(Error::BadChallenge(_))));
}

#[test]
fn both_halves_understand_each_other() {
    for (user, password, name) in [
        ("User", "Password", "User"),
        (r"Domain\User", "Password", "User"),
        ("tim", "tanstaaf", "tim"),
        // As it was sent comes first, and what is found there counts.
        (r"CORP\tim", "other", "CORP\\tim"),
        (r"corp\tim", "tanstaaf", "tim"),
        ("ann@example.org", "secret", "ann@example.org"),
        ("tim@example.org", "tanstaaf", "tim"),
        ("jürgen", "größe €", "jürgen"),
        ("Ж", "пароль", "Ж"),
        ("empty", "", "empty"),
    ] {
        let turn = talk(client(user, password), |_| {}).unwrap();
        assert!(matches!(&turn, Turn::Accept(accepted) if accepted == name.as_bytes()), "{user}: {turn:?}");
    }
    // And with nonces as they are in life.
    let mut client = Ntlm::new("tim", "tanstaaf", Nonce::random().unwrap(), NOW);
    let mut server = server::Ntlm::new(b"\xffPOP", Nonce::random().unwrap(), NOW);
    let Turn::Challenge(challenge) = server.respond(Some(first(&mut client).expose()), &users()) else {
        panic!()
    };
    let response = client.respond(&challenge).unwrap();
    assert!(matches!(server.respond(Some(response.expose()), &users()), Turn::Accept(_)));
}

#[test]
fn wrong_passwords_and_unknown_users_are_refused() {
    for (user, password) in [
        ("tim", "tanstaaff"),
        ("tim", ""),
        ("empty", "x"),
        ("nobody", "tanstaaf"),
        (r"CORP\tim", "tanstaaf"),
        ("ann", "secret"),
        ("@", "x"),
    ] {
        let turn = talk(client(user, password), |_| {}).unwrap();
        assert!(matches!(turn, Turn::Refuse(Refusal::Credentials)), "{user}");
    }
}

#[test]
fn a_challenge_cut_anywhere_is_refused() {
    let mut server = half();
    let Turn::Challenge(whole) = server.respond(Some(first(&mut client("a", "b")).expose()), &users()) else {
        panic!()
    };
    for length in 0..whole.len() {
        let turn = talk(client("tim", "tanstaaf"), |message| message.truncate(length));
        assert!(turn.is_none(), "{length}");
    }
}

#[test]
fn no_flipped_bit_in_the_challenge_leads_to_a_login() {
    let mut server = half();
    let Turn::Challenge(whole) = server.respond(Some(first(&mut client("a", "b")).expose()), &users()) else {
        panic!()
    };
    for at in 0..whole.len() {
        for bit in 0..8 {
            let turn = talk(client("tim", "tanstaaf"), |message| message[at] ^= 1 << bit);
            assert!(matches!(turn, None | Some(Turn::Refuse(_))), "{at}.{bit}: {turn:?}");
        }
    }
}

/// The server's answer to what the client says last, changed on its way.
fn changed(change: impl Fn(&mut Vec<u8>)) -> Turn {
    let (mut client, mut server) = (client("tim", "tanstaaf"), half());
    let Turn::Challenge(challenge) = server.respond(Some(first(&mut client).expose()), &users()) else {
        panic!()
    };
    let mut response = client.respond(&challenge).unwrap().expose().to_vec();
    change(&mut response);
    server.respond(Some(&response), &users())
}

#[test]
fn no_change_of_the_last_message_is_overlooked() {
    let mut length = 0;
    assert!(matches!(changed(|_| {}), Turn::Accept(_)));
    while !matches!(changed(|message| message.truncate(length)), Turn::Accept(_)) {
        length += 1;
    }
    for at in 0..length {
        for bit in 0..8 {
            let turn = changed(|message| message[at] ^= 1 << bit);
            assert!(matches!(turn, Turn::Refuse(_)), "{at}.{bit}: {turn:?}");
        }
    }
}

#[test]
fn garbage_for_a_message_of_the_client_is_refused() {
    let malformed = |turn: Turn| assert!(matches!(turn, Turn::Refuse(Refusal::Malformed)), "{turn:?}");
    let whole = first(&mut client("a", "b"));
    malformed(half().respond(None, &users()));
    for length in 0..16 {
        malformed(half().respond(Some(&whole.expose()[..length]), &users()));
    }
    // A client without a character set.
    let mut oem = whole.expose().to_vec();
    oem[12] = 0;
    malformed(half().respond(Some(&oem), &users()));
    // Nothing comes after the end.
    let mut server = half();
    server.respond(Some(whole.expose()), &users());
    malformed(server.respond(Some(b""), &users()));
    malformed(server.respond(Some(whole.expose()), &users()));
}

#[test]
fn an_older_response_proves_too_little() {
    let turn = changed(|message| {
        // Twenty-four octets, as NTLMv1 has them.
        message[20..24].copy_from_slice(&[24, 0, 24, 0]);
    });
    assert!(matches!(turn, Turn::Refuse(Refusal::Credentials)));
}

#[test]
fn p_133_debug_shows_no_password() {
    let mut ntlm = client("tim", "secret-word");
    let list = format!("{:?}", b"secret-word");
    let wide = utf16("secret-word");
    let wide_list = format!("{wide:?}");
    let look = |ntlm: &Ntlm| {
        for shown in [format!("{ntlm:?}"), format!("{ntlm:#?}")] {
            assert!(shown.starts_with("Ntlm"));
            for secret in [
                "secret-word",
                &hex(b"secret-word"),
                &hex(&wide),
                &list[1..list.len() - 1],
                &wide_list[1..wide_list.len() - 1],
                "115, ",
            ] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    };
    look(&ntlm);
    ntlm.start().unwrap();
    look(&ntlm);
    let response = ntlm.respond(&challenge(FLAGS, &end())).unwrap();
    look(&ntlm);
    assert_eq!(format!("{response:?}"), "Secret(********)");
}

#[test]
fn p_133_the_messages_hold_no_password() {
    let mut ntlm = client("tim", "secret-word");
    let negotiate = first(&mut ntlm);
    let response = ntlm.respond(&challenge(FLAGS, &[names(), pair(7, &[1; 8]), end()].concat())).unwrap();
    for message in [negotiate.expose(), response.expose()] {
        for secret in [b"secret-word".to_vec(), utf16("secret-word")] {
            assert!(!message.windows(secret.len()).any(|part| part == secret));
        }
    }
}
