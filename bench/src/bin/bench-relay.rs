//! A long line: a relay that holds back what goes through it, in each direction for half of the round trip. It needs no
//! help of the kernel, so it runs anywhere.
//!
//! To connect costs a round trip on a real line, and none to a relay on loopback; so what the client says travels no
//! earlier than one round trip after it connected, and what the server says arrives no earlier than two.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use popwire_bench::{Result, socket};

/// Relays connections on loopback as if the server were far away; prints `ready PORT`.
#[derive(Parser)]
struct Args {
    /// The server's port.
    #[arg(long)]
    to: u16,
    /// The round trip, in milliseconds.
    #[arg(long)]
    round_trip: f64,
    /// So many octets a second, in each direction. As many as there are, without that.
    #[arg(long)]
    rate: Option<f64>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let line = Line { delay: Duration::from_secs_f64(args.round_trip / 2000.0), rate: args.rate };
    let listener = socket::listen()?;
    println!("ready {}", listener.local_addr()?.port());
    io::stdout().flush()?;
    for client in listener.incoming() {
        let client = client?;
        thread::spawn(move || {
            if let Err(e) = relay(client, args.to, line) {
                eprintln!("{e}");
            }
        });
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Line {
    /// One way.
    delay: Duration,
    rate: Option<f64>,
}

fn relay(client: TcpStream, to: u16, line: Line) -> Result<()> {
    // The client knows of the connection after a round trip, and the server half of one later.
    let now = Instant::now();
    socket::accepted(&client)?;
    let server = socket::connect(to)?;
    let down = Direction::start(server.try_clone()?, client.try_clone()?, line, now + 3 * line.delay)?;
    let up = Direction::start(client, server, line, now + 2 * line.delay)?;
    for direction in [down, up] {
        direction.join().map_err(|_| "a direction died")?;
    }
    Ok(())
}

/// Most octets under way in one direction; beyond that the sender has to wait, as it would for a line that is full.
const UNDER_WAY: usize = 64 << 20;

/// What is under way in one direction.
#[derive(Default)]
struct UnderWay {
    /// Octets, and when they arrive. None at the end.
    pieces: VecDeque<(Instant, Option<Vec<u8>>)>,
    octets: usize,
}

struct Direction {
    state: Mutex<UnderWay>,
    changed: Condvar,
}

impl Direction {
    /// Takes from one side as fast as it gives, and gives to the other when the time has come.
    fn start(
        from: TcpStream,
        to: TcpStream,
        line: Line,
        not_before: Instant,
    ) -> io::Result<thread::JoinHandle<()>> {
        let direction = Arc::new(Self { state: Mutex::default(), changed: Condvar::new() });
        let taking = Arc::clone(&direction);
        thread::Builder::new().spawn(move || taking.take(from, line, not_before))?;
        thread::Builder::new().spawn(move || direction.give(to))
    }

    fn take(&self, mut from: TcpStream, line: Line, not_before: Instant) {
        let mut buffer = vec![0; 256 << 10];
        // When the line has carried what was put on it.
        let mut free = not_before;
        loop {
            let octets = from.read(&mut buffer).unwrap_or(0);
            free = free.max(Instant::now());
            if let Some(rate) = line.rate {
                free += Duration::from_secs_f64(octets as f64 / rate);
            }
            let piece = (octets > 0).then(|| buffer[..octets].to_vec());
            let mut state = self.lock();
            while state.octets > UNDER_WAY {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.octets += octets;
            state.pieces.push_back((free + line.delay, piece));
            self.changed.notify_all();
            if octets == 0 {
                return;
            }
        }
    }

    fn give(&self, mut to: TcpStream) {
        loop {
            let mut state = self.lock();
            let (at, piece) = loop {
                match state.pieces.pop_front() {
                    Some(piece) => break piece,
                    None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(state);
            thread::sleep(at.saturating_duration_since(Instant::now()));
            let sent = piece.as_ref().is_some_and(|piece| to.write_all(piece).is_ok());
            if let Some(piece) = &piece {
                self.lock().octets -= piece.len();
                self.changed.notify_all();
            }
            if !sent {
                // The end of one direction leaves the other as it is.
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, UnderWay> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
