//! Thousands of connections at once, and clients that mean harm: each costs a bounded amount of memory, and none makes
//! another wait.
//!
//! The server runs in a process of its own, which is this program again: its memory can be measured by itself, and each
//! side has its own file descriptors. What was measured is printed; `--nocapture` shows it.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

use std::env;
use std::io::{self, BufRead, BufReader, Lines, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use popwire_interop::process::Process;
use popwire_interop::rss;
use popwire_server::store::Content;
use popwire_server::{Maildrop, Server};
use rustix::process::{Resource, getrlimit, setrlimit};

/// What tells this program that it is the server, and for how many users.
const USERS: &str = "POPWIRE_CROWD_USERS";

/// How many connections are to be held at once.
const CROWD: usize = 10_000;

/// The longest that a round trip of an innocent client may take, whatever others do. A debug build on a busy machine of
/// two cores stays far below.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long the server waits for a client that takes nothing.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// One test at a time: they measure.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The server in a process of its own. Its users are `u0`, `u1` and so on, with the password `pass`; each has a small
/// message and one of a gibibyte.
struct Service {
    process: Process,
    plain: SocketAddr,
    tls: SocketAddr,
    /// Open, so that what the harness prints there has somewhere to go.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Service {
    fn start(users: usize) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "the_server_itself", "--nocapture"]).env(USERS, users.to_string());
        // It ends when its input does: with this process, however that ends.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::spawn(&mut command).unwrap();
        let mut lines = BufReader::new(process.child().stdout.take().unwrap()).lines();
        let line =
            lines.find_map(|line| line.unwrap().strip_prefix("listening ").map(str::to_owned)).unwrap();
        let (plain, tls) = line.split_once(' ').unwrap();
        Self { process, plain: plain.parse().unwrap(), tls: tls.parse().unwrap(), _output: lines }
    }

    fn peak_kib(&self) -> u64 {
        rss::peak_kib_of(self.process.pid()).unwrap()
    }

    /// Logs in.
    fn log_in(&self, user: usize) -> io::Result<Client> {
        Client::log_in(self.plain, user)
    }

    /// What `harm` costs the server in KiB, while an innocent client never waits longer than it should.
    fn suffer<T>(&self, what: &str, harm: impl FnOnce() -> T) -> (T, u64) {
        let bystander = Bystander::start(self.plain);
        let (before, began) = (self.peak_kib(), Instant::now());
        let result = harm();
        let (cost, took) = (self.peak_kib().saturating_sub(before), began.elapsed());
        let (trips, longest) = bystander.stop();
        println!(
            "{what}: {cost} KiB in {took:.1?}; a bystander's {trips} round trips took {longest:.1?} at most"
        );
        assert!(trips > 0 && longest < PATIENCE, "{what}: {trips} round trips, one took {longest:?}");
        (result, cost)
    }
}

/// Runs until its input ends; does nothing unless a test of this file started it.
#[test]
fn the_server_itself() {
    let Ok(users) = env::var(USERS) else { return };
    raise_limit();
    let mut builder = Server::builder().record(false).max_connections(20_000).write_timeout(WRITE_TIMEOUT);
    let big = Content::Generated { size: 1 << 30, line_len: 76 };
    for user in 0..users.parse().unwrap() {
        let small = Content::from("Subject: small\r\n\r\nhello\r\n");
        builder = builder.user(format!("u{user}"), "pass", Maildrop::memory([small, big.clone()]));
    }
    let server = builder.start().unwrap();
    println!("\nlistening {} {}", server.addr(), server.tls_addr());
    let ended = io::copy(&mut io::stdin(), &mut io::sink());
    assert_eq!(ended.unwrap(), 0);
}

struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn connect(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        // Thousands of these wait: they need little room.
        let mut client = Self { stream: BufReader::with_capacity(256, stream) };
        client.hear()?;
        Ok(client)
    }

    fn log_in(addr: SocketAddr, user: usize) -> io::Result<Self> {
        let mut client = Self::connect(addr)?;
        client.send(format!("USER u{user}\r\nPASS pass\r\n"))?;
        client.hear()?;
        client.hear()?;
        Ok(client)
    }

    fn send(&mut self, octets: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(octets.as_ref())
    }

    /// A line that begins with `+OK`.
    fn hear(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        if line.starts_with("+OK") { Ok(line) } else { Err(io::Error::other(format!("{line:?}"))) }
    }

    fn say(&mut self, line: &str) -> io::Result<String> {
        self.send(format!("{line}\r\n"))?;
        self.hear()
    }

    fn body(&mut self) -> io::Result<String> {
        let mut body = String::new();
        while !body.ends_with("\r\n.\r\n") {
            if self.stream.read_line(&mut body)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(body)
    }
}

/// A client that means no harm, and looks at the clock.
struct Bystander {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(u32, Duration)>,
}

impl Bystander {
    /// As the user `u0`.
    fn start(addr: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut client = Client::log_in(addr, 0).unwrap();
        let thread = thread::spawn(move || {
            let (mut trips, mut longest) = (0, Duration::ZERO);
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                client.say("RETR 1").unwrap();
                assert!(client.body().unwrap().contains("hello"));
                longest = longest.max(began.elapsed());
                trips += 1;
                thread::sleep(Duration::from_millis(2));
            }
            client.say("QUIT").unwrap();
            (trips, longest)
        });
        Self { stop, thread }
    }

    /// How many round trips there were, and the longest.
    fn stop(self) -> (u32, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// As many open files as the system lets this process have; returns how many that are.
fn raise_limit() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    limit.maximum.map_or(usize::MAX, |most| usize::try_from(most).unwrap())
}

#[test]
fn ten_thousand_connections_at_once() {
    let _turn = turn();
    // A few are needed for other things.
    let possible = raise_limit().saturating_sub(200);
    let crowd = CROWD.min(possible);
    if crowd < CROWD {
        eprintln!("\n!!! ONLY {crowd} CONNECTIONS, NOT {CROWD}: `ulimit -Hn` ALLOWS NO MORE !!!\n");
    }
    let service = Service::start(crowd + 1);
    // What every server has once it has worked is not the connections'.
    drop((0..20).map(|user| service.log_in(user).unwrap()).collect::<Vec<_>>());
    let (before, began) = (service.peak_kib(), Instant::now());

    // u0 is the bystander's.
    let users: Vec<usize> = (1..=crowd).collect();
    let threads: Vec<_> = users
        .chunks(crowd.div_ceil(4))
        .map(|users| {
            let (users, addr) = (users.to_vec(), service.plain);
            thread::spawn(move || users.iter().map(|user| Client::log_in(addr, *user)).collect::<Vec<_>>())
        })
        .collect();
    let clients = threads.into_iter().flat_map(|thread| thread.join().unwrap());
    let mut clients: Vec<Client> = clients.collect::<io::Result<_>>().unwrap();
    assert_eq!(clients.len(), crowd);
    let took = began.elapsed();
    let each = service.peak_kib().saturating_sub(before) * 1024 / crowd as u64;
    println!("{crowd} sessions logged in, in {took:.1?}: {each} octets of memory each");

    // One works among them.
    let (_, cost) = service.suffer("among a crowd", || thread::sleep(Duration::from_millis(500)));
    assert!(cost < 1024, "{cost} KiB");
    // All of them are alive.
    for client in &mut clients {
        client.send("NOOP\r\n").unwrap();
    }
    for client in &mut clients {
        client.hear().unwrap();
    }
    let after_work = service.peak_kib().saturating_sub(before) * 1024 / crowd as u64;
    println!("after a command from each: {after_work} octets each");
    assert!(each.max(after_work) < 6 * 1024, "{each}, then {after_work} octets for each connection");
}

#[test]
fn a_line_without_end() {
    let _turn = turn();
    let service = Service::start(2);
    let (_, cost) = service.suffer("64 MiB without a line end", || {
        let mut client = service.log_in(1).unwrap();
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..64 {
            client.send(&piece).unwrap();
        }
        client.send("\r\n").unwrap();
        assert!(client.hear().unwrap_err().to_string().contains("-ERR"));
        client.say("NOOP").unwrap();
    });
    assert!(cost < 1024, "{cost} KiB");
}

#[test]
fn commands_whose_answers_nobody_reads() {
    let _turn = turn();
    // The kernel takes some megabytes for each before the server has to hold anything.
    const CLIENTS: usize = 4;
    let service = Service::start(CLIENTS + 1);
    for (what, command) in
        [("a gibibyte", "RETR 2\r\n"), ("NOOP", "NOOP\r\n"), ("small messages", "RETR 1\r\n")]
    {
        let (_, cost) = service.suffer(&format!("{CLIENTS} clients that read nothing of {what}"), || {
            let mut clients: Vec<_> = (1..=CLIENTS).map(|user| service.log_in(user).unwrap()).collect();
            let commands = command.repeat(128 << 10);
            for client in &mut clients {
                client.stream.get_mut().set_nonblocking(true).unwrap();
            }
            // Each sends until the server has cut it off.
            let deadline = Instant::now() + 15 * WRITE_TIMEOUT;
            while !clients.is_empty() {
                assert!(Instant::now() < deadline, "{} are still there", clients.len());
                clients.retain_mut(|client| match client.stream.get_mut().write(commands.as_bytes()) {
                    Ok(_) => true,
                    Err(error) => error.kind() == io::ErrorKind::WouldBlock,
                });
                thread::sleep(Duration::from_millis(5));
            }
        });
        // A chunk of an answer, and the message read for it; nothing of what comes after.
        assert!(cost < CLIENTS as u64 * 512, "{cost} KiB");
    }
}

#[test]
fn connections_that_say_nothing() {
    let _turn = turn();
    const CLIENTS: u64 = 500;
    raise_limit();
    let service = Service::start(2);
    // The first ones pay for what the server needs once.
    let _first = Client::connect(service.plain).unwrap();
    let (_plain, cost) = service.suffer("500 connections without a word", || {
        (0..CLIENTS).map(|_| Client::connect(service.plain).unwrap()).collect::<Vec<_>>()
    });
    assert!(cost < CLIENTS * 8, "{cost} KiB");
    let (_half, cost) = service.suffer("500 TLS handshakes that are never finished", || {
        let begin = |_| {
            let mut stream = TcpStream::connect(service.tls)?;
            // The beginning of a record with a ClientHello of 500 octets; the rest does not come.
            stream.write_all(b"\x16\x03\x01\x01\xf4\x01\x00\x01\xf0\x03\x03").map(|()| stream)
        };
        let half: io::Result<Vec<_>> = (0..CLIENTS).map(begin).collect();
        // Until the server has looked at the last of them.
        thread::sleep(Duration::from_millis(200));
        half.unwrap()
    });
    assert!(cost < CLIENTS * 16, "{cost} KiB");
}

#[test]
fn a_thousand_failed_logins() {
    let _turn = turn();
    let service = Service::start(2);
    let (_, cost) = service.suffer("1000 failed logins, each with a connection of its own", || {
        for _ in 0..1000 {
            let mut client = Client::connect(service.plain).unwrap();
            client.send("USER u1\r\nPASS wrong\r\n").unwrap();
            client.hear().unwrap();
            assert!(client.hear().is_err());
        }
    });
    assert!(cost < 4096, "{cost} KiB");
    // The user himself is not kept out.
    service.log_in(1).unwrap();
}

#[test]
fn megabytes_of_commands_at_once() {
    let _turn = turn();
    let service = Service::start(2);
    for (what, command, count, answer) in [
        ("NOOP", "NOOP\r\n", 300_000, "+OK nothing done\r\n".len()),
        ("RETR", "RETR 1\r\n", 100_000, "+OK 25 octets\r\nSubject: small\r\n\r\nhello\r\n.\r\n".len()),
    ] {
        let (_, cost) = service.suffer(&format!("{count} times {what} at once"), || {
            let client = service.log_in(1).unwrap();
            let mut writer = client.stream.get_ref().try_clone().unwrap();
            let commands = command.repeat(count);
            let writing = thread::spawn(move || writer.write_all(commands.as_bytes()));
            let expected = (count * answer) as u64;
            let heard = io::copy(&mut client.stream.take(expected), &mut io::sink()).unwrap();
            assert_eq!(heard, expected);
            writing.join().unwrap().unwrap();
        });
        assert!(cost < 2048, "{cost} KiB");
    }
}
