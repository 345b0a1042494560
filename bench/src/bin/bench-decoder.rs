//! The body decoder alone, beside `memmem` over the same buffer: how much of what the processor can do is left over.

use std::hint::black_box;
use std::time::{Duration, Instant};

use memchr::memmem::Finder;
use popwire_bench::Result;
use popwire_bench::mail::{Mail, Text};
use popwire_proto::command::RetrCommand;
use popwire_proto::{Body, Client, Limits};

/// The octets of the body, as many as a read of a fast line brings.
const OCTETS: usize = 128 << 10;

/// Most rounds count for little on a machine that others use; the fastest of many is what the code can do.
const ROUNDS: u32 = 400;

fn main() -> Result<()> {
    for (name, text) in [("base64", Text::Base64), ("stuffed", Text::Stuffed)] {
        let mail = Mail::new(1, OCTETS, text)?;
        let (head, body) = mail.wire(1);
        let wire = [b"+OK\r\n", head.as_bytes(), body].concat();
        let octets = wire.len() as f64;
        let (mut decoder, mut scan) = (Duration::MAX, Duration::MAX);
        let mut session = Session::new(&wire)?;
        let finder = Finder::new(b"\n.");
        for _ in 0..ROUNDS {
            let began = Instant::now();
            black_box(finder.find_iter(black_box(&wire)).count());
            scan = scan.min(began.elapsed());
            decoder = decoder.min(session.round(&wire)?);
        }
        let speed = |time: Duration| octets / time.as_secs_f64() / 1e9;
        println!(
            r#"{{"text":"{name}","decoder_gb_s":{:.2},"memmem_gb_s":{:.2},"ratio":{:.3}}}"#,
            speed(decoder),
            speed(scan),
            scan.as_secs_f64() / decoder.as_secs_f64()
        );
    }
    Ok(())
}

/// A session that retrieves the same message again and again.
struct Session(Client);

impl Session {
    fn new(wire: &[u8]) -> Result<Self> {
        let mut limits = Limits::default();
        // Room for the whole message at once, as after some full reads
        limits.receive_buffer = 2 * wire.len();
        let mut client = Client::new(limits);
        feed(&mut client, b"+OK ready\r\n");
        client.reply()?.ok_or("no greeting")?;
        Ok(Self(client))
    }

    /// The time from the octets in the buffer to the end of the message.
    fn round(&mut self, wire: &[u8]) -> Result<Duration> {
        let client = &mut self.0;
        client.submit(&RetrCommand { number: 1 })?;
        client.sent(usize::MAX);
        feed(client, wire);
        let began = Instant::now();
        client.reply()?.ok_or("no reply")?;
        let mut octets = 0;
        loop {
            match client.body()? {
                Body::Chunk(chunk) => {
                    let taken = black_box(chunk).len();
                    octets += taken;
                    client.consume(taken);
                }
                Body::End(_) => break,
                Body::NeedMore => return Err("the message has no end".into()),
            }
        }
        let time = began.elapsed();
        if octets != OCTETS { Err(format!("{octets} octets of {OCTETS}").into()) } else { Ok(time) }
    }
}

/// Octets from the server. This copy is the system's work in a real session, and is not measured.
fn feed(client: &mut Client, mut octets: &[u8]) {
    while !octets.is_empty() {
        let space = client.space();
        let (now, later) = octets.split_at(octets.len().min(space.len()));
        space[..now.len()].copy_from_slice(now);
        client.filled(now.len());
        octets = later;
    }
}
