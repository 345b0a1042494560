//! How many instructions the parsers and the body path execute, counted by callgrind: the same on every run, whatever
//! else the machine does. `gate.py` beside this file runs it and compares the counts with those in `instructions.json`.
//!
//! Only the body of a benchmark is counted. Its `setup` makes the input; its `teardown` proves that the work was done,
//! since a wrong answer is no improvement, and frees what there is.

// Clippy knows benchmarks for no tests, and what the macros make has no documentation.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::fmt::Write as _;

use gungraun::{Callgrind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use popwire_proto::command::{
    CapaCommand, ListCommand, NoopCommand, PassCommand, RetrCommand, UidlCommand, UserCommand,
};
use popwire_proto::listing::{Capabilities, ScanListing, UniqueIds};
use popwire_proto::server::Machine;
use popwire_proto::stuff::Stuffer;
use popwire_proto::{Body, Client, Command, Limits, Secret};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Commands that a single line answers.
const COMMANDS: usize = 1000;

/// Messages of the bulk, and the size of each in octets.
const MESSAGES: u32 = 1000;
const MESSAGE: usize = 4 * KIB;

/// How many commands a client has in flight; a power of two that a pipelining driver may well choose.
const WINDOW: u32 = 32;

/// Entries of a listing.
const ENTRIES: u32 = 5000;

/// What Gmail answers to CAPA.
const GMAIL: &str = "+OK Capability list follows\r\nUSER\r\nRESP-CODES\r\nEXPIRE 0\r\nLOGIN-DELAY 300\r\nTOP\r\nUIDL\r\n\
    X-GOOGLE-RICO\r\nSASL PLAIN XOAUTH2 OAUTHBEARER\r\n.\r\n";

/// How often: once is too short to be compared by percents.
const CAPAS: usize = 100;

/// Lines of 76 characters of base64, as many octets as asked for with their line ends, and the same octets each time.
fn base64(octets: usize, line_end: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut random = 1u32;
    let mut text = String::with_capacity(octets);
    while text.len() < octets {
        let length = 76.min(octets - line_end.len() - text.len());
        for _ in 0..length {
            // Numerical Recipes' generator; its upper bits are the good ones
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.push(char::from(ALPHABET[(random >> 26) as usize]));
        }
        text.push_str(line_end);
    }
    text
}

/// What the server sends arrives.
fn feed(client: &mut Client, mut octets: &[u8]) {
    while !octets.is_empty() {
        let space = client.space();
        let count = space.len().min(octets.len());
        space[..count].copy_from_slice(&octets[..count]);
        client.filled(count);
        octets = &octets[count..];
    }
}

/// The commands leave.
fn send(client: &mut Client) {
    client.sent(client.unsent().len());
}

/// A client that has logged in, with a receive buffer that may hold all there is.
fn logged_in() -> Client {
    let mut limits = Limits::default();
    limits.receive_buffer = 16 * MIB;
    let mut client = Client::new(limits);
    feed(&mut client, b"+OK ready\r\n");
    client.reply().unwrap().unwrap();
    client.submit(&UserCommand { name: b"alice".to_vec() }).unwrap();
    feed(&mut client, b"+OK\r\n");
    client.reply().unwrap().unwrap();
    client.submit(&PassCommand { password: Secret::from("wonderland") }).unwrap();
    feed(&mut client, b"+OK\r\n");
    client.reply().unwrap().unwrap();
    send(&mut client);
    client
}

/// A client that has sent a command, and all of the answer has come.
fn answered<C: Command>(command: &C, answer: &str) -> Client {
    let mut client = logged_in();
    client.submit(command).unwrap();
    send(&mut client);
    feed(&mut client, answer.as_bytes());
    client
}

/// Reads a message to its end, as a driver does; returns its octets.
fn read_message(client: &mut Client) -> usize {
    let mut octets = 0;
    loop {
        let chunk = match client.body().unwrap() {
            Body::Chunk(chunk) => std::hint::black_box(chunk).len(),
            Body::NeedMore | Body::End(_) => return octets,
        };
        octets += chunk;
        client.consume(chunk);
    }
}

/// Nothing is owed and nothing is left.
fn check_settled(client: &Client) {
    assert!(client.is_settled() && !client.has_input());
}

fn submit_teardown(client: Client) {
    assert_eq!(client.unsent().len(), "NOOP\r\n".len() * COMMANDS);
}

// A thousand commands in one flight: what a command costs must not grow with those before it.
#[library_benchmark]
#[bench::noop_1000(setup = logged_in, teardown = submit_teardown)]
fn submit(mut client: Client) -> Client {
    for _ in 0..COMMANDS {
        client.submit(&NoopCommand).unwrap();
    }
    client
}

fn status_lines_setup() -> (Client, String) {
    (logged_in(), "+OK\r\n".repeat(COMMANDS))
}

fn status_lines_teardown((client, heard): (Client, usize)) {
    check_settled(&client);
    assert_eq!(heard, COMMANDS);
}

// A thousand commands and their replies, a window of them in each flight.
#[library_benchmark]
#[bench::noop_1000(setup = status_lines_setup, teardown = status_lines_teardown)]
fn status_lines((mut client, replies): (Client, String)) -> (Client, usize) {
    let mut heard = 0;
    for replies in replies.as_bytes().chunks("+OK\r\n".len() * WINDOW as usize) {
        for _ in replies.chunks("+OK\r\n".len()) {
            client.submit(&NoopCommand).unwrap();
        }
        send(&mut client);
        feed(&mut client, replies);
        while !client.is_settled() {
            heard += usize::from(client.reply().unwrap().unwrap().is_ok());
        }
    }
    (client, heard)
}

/// All the answers are in the buffer, those too whose commands the benchmark will send: with a window of commands in
/// flight the machine does not ask when they came.
fn messages_setup() -> Client {
    let answer = format!("+OK {MESSAGE} octets\r\n{}.\r\n", base64(MESSAGE, "\r\n"));
    let mut client = logged_in();
    for number in 1..=WINDOW {
        client.submit(&RetrCommand { number }).unwrap();
    }
    send(&mut client);
    feed(&mut client, answer.repeat(MESSAGES as usize).as_bytes());
    client
}

fn messages_teardown((client, octets): (Client, usize)) {
    check_settled(&client);
    assert_eq!(octets, MESSAGES as usize * MESSAGE);
}

// A thousand messages of 4 KiB, always a window of RETRs in flight: submit, reply, body, consume.
#[library_benchmark]
#[bench::base64_4_kib_1000(setup = messages_setup, teardown = messages_teardown)]
fn messages(mut client: Client) -> (Client, usize) {
    let mut octets = 0;
    for number in 1..=MESSAGES {
        assert!(client.reply().unwrap().is_some_and(|reply| reply.is_ok()));
        octets += read_message(&mut client);
        if number + WINDOW <= MESSAGES {
            client.submit(&RetrCommand { number: number + WINDOW }).unwrap();
            send(&mut client);
        }
    }
    (client, octets)
}

/// A client that has heard `+OK`; the message and its end have come.
fn body_setup(wire: &str) -> Client {
    let mut client = answered(&RetrCommand { number: 1 }, &format!("+OK\r\n{wire}.\r\n"));
    assert!(client.reply().unwrap().unwrap().is_ok());
    client
}

fn base64_setup() -> Client {
    body_setup(&base64(MIB, "\r\n"))
}

fn base64_teardown((client, octets): (Client, usize)) {
    check_settled(&client);
    assert_eq!(octets, MIB);
}

/// Lines that are only a dot, stuffed: the most work that 256 KiB can make.
fn stuffed_setup() -> Client {
    body_setup(&"..\r\n".repeat(64 * KIB))
}

fn stuffed_teardown((client, octets): (Client, usize)) {
    check_settled(&client);
    assert_eq!(octets, 3 * 64 * KIB);
}

// The body decoder alone.
#[library_benchmark]
#[bench::base64_1_mib(setup = base64_setup, teardown = base64_teardown)]
#[bench::stuffed_256_kib(setup = stuffed_setup, teardown = stuffed_teardown)]
fn body(mut client: Client) -> (Client, usize) {
    let octets = read_message(&mut client);
    (client, octets)
}

fn list_setup() -> Client {
    let mut answer = String::from("+OK\r\n");
    for number in 1..=ENTRIES {
        write!(answer, "{number} {}\r\n", 1000 + number * 7919 % 100_000).unwrap();
    }
    answered(&ListCommand, &(answer + ".\r\n"))
}

fn list_teardown((client, listing): (Client, ScanListing)) {
    check_settled(&client);
    assert_eq!((listing.len(), listing.skipped()), (ENTRIES as usize, 0));
}

// LIST of a large maildrop: collected, then parsed.
#[library_benchmark]
#[bench::entries_5000(setup = list_setup, teardown = list_teardown)]
fn list(mut client: Client) -> (Client, ScanListing) {
    let reply = client.reply().unwrap().unwrap();
    let listing = ListCommand.decode(reply, client.limits()).unwrap();
    (client, listing)
}

fn uidl_setup() -> Client {
    let mut answer = String::from("+OK\r\n");
    for number in 1..=ENTRIES {
        // As Dovecot makes them of UID and UIDVALIDITY
        write!(answer, "{number} {number:08x}5f3c9a1e\r\n").unwrap();
    }
    answered(&UidlCommand, &(answer + ".\r\n"))
}

fn uidl_teardown((client, ids): (Client, UniqueIds)) {
    check_settled(&client);
    assert_eq!((ids.len(), ids.skipped()), (ENTRIES as usize, 0));
}

// UIDL of a large maildrop: collected, then parsed.
#[library_benchmark]
#[bench::entries_5000(setup = uidl_setup, teardown = uidl_teardown)]
fn uidl(mut client: Client) -> (Client, UniqueIds) {
    let reply = client.reply().unwrap().unwrap();
    let ids = UidlCommand.decode(reply, client.limits()).unwrap();
    (client, ids)
}

fn capa_setup() -> (Client, Vec<Capabilities>) {
    let mut client = logged_in();
    for _ in 0..CAPAS {
        client.submit(&CapaCommand).unwrap();
    }
    send(&mut client);
    feed(&mut client, GMAIL.repeat(CAPAS).as_bytes());
    (client, Vec::with_capacity(CAPAS))
}

fn capa_teardown((client, answers): (Client, Vec<Capabilities>)) {
    check_settled(&client);
    assert_eq!(answers.len(), CAPAS);
    assert!(answers.iter().all(|capabilities| capabilities.iter().len() == 8));
}

// CAPA: collected, then parsed, a hundred times.
#[library_benchmark]
#[bench::gmail_100(setup = capa_setup, teardown = capa_teardown)]
fn capa((mut client, mut answers): (Client, Vec<Capabilities>)) -> (Client, Vec<Capabilities>) {
    for _ in 0..CAPAS {
        let reply = client.reply().unwrap().unwrap();
        answers.push(CapaCommand.decode(reply, client.limits()).unwrap());
    }
    (client, answers)
}

fn commands_setup() -> (Machine, String) {
    let mut machine = Machine::new();
    machine.logged_in();
    (
        machine,
        (1..=500).fold(String::new(), |lines, number| lines + &format!("RETR {number}\r\nDELE {number}\r\n")),
    )
}

fn commands_teardown((machine, legal): (Machine, usize)) {
    assert!(!machine.has_input());
    assert_eq!(legal, 1000);
}

// The server's machine: a thousand command lines, as many in each read as a socket's buffer gives.
#[library_benchmark]
#[bench::lines_1000(setup = commands_setup, teardown = commands_teardown)]
fn commands((mut machine, lines): (Machine, String)) -> (Machine, usize) {
    let mut legal = 0;
    for read in lines.as_bytes().chunks(4 * KIB) {
        machine.receive(read);
        while let Some(incoming) = machine.next_command() {
            legal += usize::from(incoming.request().is_ok());
        }
    }
    (machine, legal)
}

fn stuffer_setup() -> (String, Vec<u8>) {
    // As it lies in a Maildir
    (base64(MIB, "\n"), Vec::with_capacity(2 * MIB))
}

fn stuffer_teardown((message, wire): (String, Vec<u8>)) {
    assert_eq!(wire.len(), message.len() + message.lines().count() + ".\r\n".len());
}

// The server's stuffer: bare LF in, CRLF out.
#[library_benchmark]
#[bench::base64_1_mib(setup = stuffer_setup, teardown = stuffer_teardown)]
fn stuffer((message, mut wire): (String, Vec<u8>)) -> (String, Vec<u8>) {
    let mut stuffer = Stuffer::new();
    for slice in message.as_bytes().chunks(64 * KIB) {
        stuffer.push(slice, &mut wire);
    }
    stuffer.finish(&mut wire);
    (message, wire)
}

library_benchmark_group!(
    name = client,
    benchmarks = [submit, status_lines, messages, body, list, uidl, capa]
);
library_benchmark_group!(name = server, benchmarks = [commands, stuffer]);

main!(
    config = LibraryBenchmarkConfig::default()
        .tool(Callgrind::with_args(["--cache-sim=no"]))
        // Callgrind counts `rep movsb`, which glibc may choose for long copies, as one instruction per octet
        .env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-ERMS"),
    library_benchmark_groups = [client, server]
);
