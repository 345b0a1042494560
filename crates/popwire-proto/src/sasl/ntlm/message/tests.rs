//! The known values of MS-NLMP section 4.2, as far as the time in them is one that no clock shows any more.

use super::*;
use crate::sasl::crypto::hex;

const SERVER: [u8; 8] = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];
const CLIENT: [u8; 8] = [0xaa; 8];

fn key() -> Key {
    Key::new("User", "Domain", &"Password".into()).unwrap()
}

fn in_hex(octets: &[u8]) -> String {
    String::from_utf8(hex(octets)).unwrap()
}

/// MS-NLMP section 4.2.4.3, the server's message.
fn challenge() -> Vec<u8> {
    let mut message = b"NTLMSSP\0\x02\0\0\0\x0c\0\x0c\0\x38\0\0\0\x33\x82\x8a\xe2".to_vec();
    message.extend(SERVER);
    message.extend([0; 8]);
    message.extend(b"\x24\0\x24\0\x44\0\0\0\x06\0\x70\x17\0\0\0\x0f");
    message.extend(utf16("Server"));
    message.extend(b"\x02\0\x0c\0");
    message.extend(utf16("Domain"));
    message.extend(b"\x01\0\x0c\0");
    message.extend(utf16("Server"));
    message.extend([0; 4]);
    message
}

#[test]
fn ntowf_v2_is_as_published() {
    assert_eq!(in_hex(key().0.expose()), "0c868a403bfd7a93a3001ef22ef02e3f");
}

#[test]
fn the_responses_are_as_published() {
    let message = challenge();
    let parsed = Challenge::parse(&message).unwrap();
    assert_eq!(parsed.nonce, SERVER);
    assert_eq!(parsed.flags, 0xe28a_8233);
    assert_eq!(parsed.timestamp(), Ok(None));
    assert_eq!(
        in_hex(&key().lm_response(parsed.nonce, CLIENT)),
        "86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa"
    );
    let temp = temp(0, CLIENT, &parsed.list());
    assert_eq!(
        in_hex(&temp),
        "01010000000000000000000000000000aaaaaaaaaaaaaaaa0000000002000c0044006f006d00610069006e00\
         01000c005300650072007600650072000000000000000000"
    );
    let proof = key().nt_proof(parsed.nonce, &temp);
    assert_eq!(in_hex(&proof), "68cd0ab851e51c96aabc927bebef6a1c");
    assert_eq!(in_hex(key().session(&proof).expose()), "8de40ccadbc14a82f15cb0ad0de95ca3");
}

#[test]
fn capitals_are_found_as_windows_finds_them() {
    assert_eq!(upper_case("User"), "USER");
    assert_eq!(upper_case("jürgen"), "JÜRGEN");
    assert_eq!(upper_case("жук"), "ЖУК");
    // One unit stays one unit, and nothing slips into ASCII.
    assert_eq!(upper_case("straße"), "STRAßE");
    assert_eq!(upper_case("ı\u{17f}"), "ı\u{17f}");
    assert_eq!(upper_case("\u{10428}"), "\u{10428}");
}

#[test]
fn a_short_nonce_is_taken_as_it_is_and_a_long_one_is_digested() {
    assert_eq!(nonce_of(&Nonce::known(CLIENT)), CLIENT);
    let digest: [u8; 16] = Md5::digest(b"0123456789").into();
    assert_eq!(nonce_of(&Nonce::known(*b"0123456789")), digest[..8]);
}

#[test]
fn the_time_counts_from_1601() {
    assert_eq!(filetime(Duration::ZERO), 116_444_736_000_000_000);
    assert_eq!(filetime(Duration::new(1, 250)), 116_444_736_010_000_002);
    assert_eq!(filetime(Duration::MAX), u64::MAX);
}
