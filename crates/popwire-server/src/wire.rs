//! One connection's octets: plain or TLS, written with a deadline and, if a test wants it, in small pieces.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead as _, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConnection;
use tokio_rustls::server::TlsStream;

use crate::answer::Then;
use crate::event::Teller;
use crate::fault::{Pace, Raw, Sabotage, Step};

/// How much of an answer is gathered before it is written: enough that a write is cheap, little enough that a thousand
/// sessions fit in memory.
pub(crate) const CHUNK: usize = 64 << 10;

/// What one read takes: some thousand pipelined commands, or the line of a long token as it was written.
pub(crate) const READ: usize = 16 << 10;

/// The largest allocation that a silent connection keeps for its next answer.
const AT_REST: usize = 512;

/// How long the other side is given to take the last octets, when the connection is closed anyway.
const GOODBYE: Duration = Duration::from_secs(1);

pub(crate) struct Wire {
    stream: Stream,
    /// What is to be written next.
    pub(crate) out: Vec<u8>,
    segment: Option<Segment>,
    segment_pause: Duration,
    write_timeout: Duration,
    /// Counts the octets, and tells when the connection has ended.
    pub(crate) teller: Teller,
    sabotage: Option<Box<Sabotage>>,
    /// How a fault above TLS ended the conversation.
    ending: Option<Then>,
}

/// In which pieces an answer is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Segment {
    /// Of so many octets each.
    Octets(usize),
    /// Of all sizes up to a packet's, half of them of one to four octets. The state is that of the generator: two
    /// connections with equal answers see equal pieces, so that a failure can be had again.
    Random(u64),
}

impl Segment {
    /// The size of the next piece.
    fn next(&mut self) -> usize {
        let state = match self {
            Self::Octets(octets) => return *octets,
            Self::Random(state) => state,
        };
        // Marsaglia's xorshift; its state must not be 0.
        *state = (*state).max(1);
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        let largest = if *state & 1 == 0 { 4 } else { 1460 };
        usize::try_from((*state >> 1) % largest).unwrap_or_default() + 1
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<Raw>>),
    /// A handshake failed, or the connection was dropped.
    Gone,
}

impl Wire {
    pub(crate) fn new(
        stream: TcpStream,
        segment: Option<Segment>,
        segment_pause: Duration,
        write_timeout: Duration,
        teller: Teller,
    ) -> Self {
        // Answers are gathered here, so the kernel need not wait for more. Failure costs time only.
        let _ = stream.set_nodelay(true);
        Self {
            stream: Stream::Plain(stream),
            out: Vec::new(),
            segment,
            segment_pause,
            write_timeout,
            sabotage: None,
            ending: None,
            teller,
        }
    }

    /// Lets things go wrong.
    pub(crate) fn sabotage(&mut self, sabotage: Option<Box<Sabotage>>) {
        self.sabotage = sabotage;
    }

    /// How a fault ended the conversation, if one did. Whatever was to be sent or read then gave an error.
    pub(crate) fn ending(&self) -> Option<Then> {
        match &self.stream {
            Stream::Tls(stream) => self.ending.or(stream.get_ref().0.ending()),
            Stream::Plain(_) | Stream::Gone => self.ending,
        }
    }

    /// A command has come, or the greeting is due; nothing has been done about it. `true`: it is to be refused.
    pub(crate) async fn begin_answer(&mut self, keyword: &str) -> io::Result<bool> {
        let Some(sabotage) = &mut self.sabotage else { return Ok(false) };
        let (steps, refuse) = sabotage.begin(keyword);
        self.perform(steps).await?;
        Ok(refuse)
    }

    /// The answer is in `out`, or sent. With faults about, answers to pipelined commands do not wait for each other.
    pub(crate) async fn end_answer(&mut self) -> io::Result<()> {
        if self.sabotage.is_some() {
            self.flush().await?;
        }
        let steps = self.sabotage.as_mut().map(|sabotage| sabotage.finish()).unwrap_or_default();
        self.perform(steps).await
    }

    /// Hands over what has come, and says how much that was; 0 octets: the client will send no more.
    ///
    /// The octets lie on the stack while they are handed over: thousands of connections wait here, and none of them
    /// has a buffer for what may come.
    pub(crate) async fn read(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<usize> {
        let read = poll_fn(|cx| {
            let mut space = [MaybeUninit::uninit(); READ];
            let mut buffer = ReadBuf::uninit(&mut space);
            ready!(match &mut self.stream {
                Stream::Plain(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
                Stream::Tls(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
                Stream::Gone => Poll::Ready(Ok(())),
            })?;
            take(buffer.filled());
            Poll::Ready(io::Result::Ok(buffer.filled().len()))
        })
        .await?;
        self.teller.received += read as u64;
        Ok(read)
    }

    /// Gives back what the last answer took: nothing is to be written for a while.
    pub(crate) fn rest(&mut self) {
        if self.out.capacity() > AT_REST && self.out.is_empty() {
            self.out = Vec::new();
        }
    }

    /// Writes `out` if it has grown to a chunk.
    pub(crate) async fn flush_chunk(&mut self) -> io::Result<()> {
        if self.out.len() >= CHUNK { self.flush().await } else { Ok(()) }
    }

    /// Writes all of `out`, waiting for the client as long as it takes some of it within the write timeout.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        let out = std::mem::take(&mut self.out);
        match &mut self.sabotage {
            None => self.write_flushed(&out, None).await?,
            Some(sabotage) => {
                let steps = sabotage.shape(&out);
                self.perform(steps).await?;
            }
        }
        // The allocation is kept, unless one long answer made it large.
        if out.capacity() <= 4 * CHUNK {
            self.out = out;
            self.out.clear();
        }
        Ok(())
    }

    async fn perform(&mut self, steps: Vec<Step>) -> io::Result<()> {
        for step in steps {
            match step {
                Step::Send { octets, pace } => self.write_flushed(&octets, pace).await?,
                Step::Pause(time) => tokio::time::sleep(time).await,
                Step::End(then) => {
                    self.ending = Some(then);
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
            }
        }
        Ok(())
    }

    /// In the pieces of a fault, or in those that all answers have.
    async fn write_flushed(&mut self, octets: &[u8], pace: Option<Pace>) -> io::Result<()> {
        let (segment, pause) = match pace {
            Some(pace) => (Some(Segment::Octets(pace.octets)), pace.pause),
            None => (self.segment, self.segment_pause),
        };
        let Some(mut segment) = segment else {
            self.write(octets).await?;
            return self.flush_stream().await;
        };
        let mut rest = octets;
        while !rest.is_empty() {
            let (piece, tail) = rest.split_at(segment.next().clamp(1, rest.len()));
            rest = tail;
            self.write(piece).await?;
            self.flush_stream().await?;
            match pause {
                Duration::ZERO => tokio::task::yield_now().await,
                pause => tokio::time::sleep(pause).await,
            }
        }
        if pace.is_none() {
            self.segment = Some(segment);
        }
        Ok(())
    }

    /// The server's side of a TLS handshake.
    pub(crate) async fn start_tls(&mut self, acceptor: &TlsAcceptor, limit: Duration) -> io::Result<()> {
        let Stream::Plain(stream) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let raw = Raw::new(stream, self.sabotage.as_deref());
        let accepted = timeout(limit, acceptor.accept(raw).into_fallible()).await;
        match accepted.map_err(|_| io::ErrorKind::TimedOut)? {
            Ok(mut stream) => {
                stream.get_mut().0.handshake_done();
                self.stream = Stream::Tls(Box::new(stream));
                Ok(())
            }
            Err((error, raw)) => {
                self.ending = raw.ending();
                // A fault may have more to do to the connection; otherwise it is over.
                if self.ending.is_some() {
                    self.stream = Stream::Plain(raw.into_tcp());
                }
                Err(error)
            }
        }
    }

    /// The TLS session, if there is one.
    pub(crate) fn tls(&self) -> Option<&ServerConnection> {
        match &self.stream {
            Stream::Tls(stream) => Some(stream.get_ref().1),
            Stream::Plain(_) | Stream::Gone => None,
        }
    }

    /// Sends what is left, close_notify if it is TLS, and FIN.
    pub(crate) async fn shut_down(&mut self) {
        let goodbye = async {
            self.flush().await?;
            match &mut self.stream {
                Stream::Plain(stream) => stream.shutdown().await,
                Stream::Tls(stream) => stream.shutdown().await,
                Stream::Gone => Ok(()),
            }
        };
        // Nobody is left to be told of a failure.
        let _ = timeout(GOODBYE, goodbye).await;
    }

    /// Reads what the client still sends: a socket closed with unread input resets the connection, and the client
    /// might lose the last answer.
    pub(crate) async fn linger(&mut self) {
        let drain = async {
            let mut left = CHUNK;
            while let Ok(read @ 1..) = self.read(|_| ()).await {
                left = left.saturating_sub(read);
                if left == 0 {
                    return;
                }
            }
        };
        let _ = timeout(GOODBYE, drain).await;
    }

    /// Ends the connection without a goodbye.
    pub(crate) fn cut(&mut self) {
        self.stream = Stream::Gone;
        self.out.clear();
    }

    /// Ends the connection with a TCP RST.
    pub(crate) fn reset(&mut self) {
        let stream = match &self.stream {
            Stream::Plain(stream) => Some(stream),
            Stream::Tls(stream) => Some(stream.get_ref().0.tcp()),
            Stream::Gone => None,
        };
        // Should the option fail, the connection is cut all the same.
        let _ = stream.map(TcpStream::set_zero_linger);
        self.cut();
    }

    async fn write(&mut self, mut octets: &[u8]) -> io::Result<()> {
        while !octets.is_empty() {
            let some = async {
                match &mut self.stream {
                    Stream::Plain(stream) => stream.write(octets).await,
                    Stream::Tls(stream) => stream.write(octets).await,
                    Stream::Gone => Err(io::ErrorKind::NotConnected.into()),
                }
            };
            match timeout(self.write_timeout, some).await.map_err(|_| io::ErrorKind::TimedOut)?? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => {
                    self.teller.sent += written as u64;
                    octets = octets.get(written..).unwrap_or_default();
                }
            }
        }
        Ok(())
    }

    async fn flush_stream(&mut self) -> io::Result<()> {
        if let Stream::Tls(stream) = &mut self.stream {
            timeout(self.write_timeout, stream.flush()).await.map_err(|_| io::ErrorKind::TimedOut)??;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_096_random_pieces_are_of_all_sizes_and_the_same_again() {
        let sizes = || {
            let mut segment = Segment::Random(1);
            (0..10_000).map(|_| segment.next()).collect::<Vec<_>>()
        };
        let once = sizes();
        assert_eq!(once, sizes());
        assert!(once.iter().all(|size| (1..=1460).contains(size)));
        assert!((1..=4).all(|size| once.contains(&size)) && once.iter().any(|size| *size > 1000));
        assert_eq!(Segment::Random(0).next(), Segment::Random(1).next());
    }
}
