//! The reader of a message.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use popwire_proto::{MessageNumber, Reply};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use super::pump::Pump;
use crate::commands::message_accessors;
use crate::core::{Progress, WORTH_READING_WITHIN};
use crate::error::Kind;
use crate::{Error, Result, collect};

/// A message on its way from the server: `impl AsyncRead` and `impl AsyncBufRead`, in bounded memory.
///
/// Its octets are what the server stores: unstuffed, with the line ends that it sent, without the terminator. The end of
/// the reader is the end of the message and nothing else: a connection that breaks before it is an error.
///
/// Dropping the reader before its end is allowed. The rest of the message is then skipped before the next command, if it
/// is at most [`Limits::discard`](popwire_proto::Limits::discard) octets long; if it is longer, the next command fails
/// and the session is over.
///
/// ```no_run
/// # async fn save(client: &mut popwire::tokio::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let mut file = tokio::fs::File::create("1.eml").await?;
/// let octets = client.retr(1).await?.copy_to(&mut file).await?;
/// println!("{octets} octets, all of it");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Message<'c> {
    pump: &'c mut Pump,
    number: MessageNumber,
    reply: Reply,
    octets: u64,
    end: Option<std::result::Result<(), popwire_proto::IrregularEnd>>,
}

impl<'c> Message<'c> {
    pub(super) fn new(pump: &'c mut Pump, number: MessageNumber, reply: Reply) -> Self {
        Self { pump, number, reply, octets: 0, end: None }
    }

    message_accessors!();

    /// Writes what is left of the message to `writer`; returns how many octets that were. The writer is not flushed.
    ///
    /// # Errors
    ///
    /// The errors of the session; [`is_writer`](Error::is_writer) if the writer fails.
    pub async fn copy_to(&mut self, writer: &mut (impl AsyncWrite + Unpin + ?Sized)) -> Result<u64> {
        let before = self.octets;
        loop {
            let chunk = self.next_chunk().await?;
            if chunk.is_empty() {
                return Ok(self.octets - before);
            }
            // One write at a time: what was written is consumed, even if the next wait is cancelled.
            let octets = writer.write(chunk).await.map_err(Error::writer)?;
            if octets == 0 {
                return Err(Error::writer(io::ErrorKind::WriteZero.into()));
            }
            self.advance(octets);
        }
    }

    /// What is left of the message, in memory.
    ///
    /// # Errors
    ///
    /// The errors of the session; a message beyond
    /// [`Limits::message_in_memory`](popwire_proto::Limits::message_in_memory) is refused.
    pub async fn read_to_vec(&mut self) -> Result<Vec<u8>> {
        let mut message = Vec::new();
        loop {
            let limit = self.pump.core.machine.limits().message_in_memory;
            let chunk = self.next_chunk().await?;
            if chunk.is_empty() {
                return Ok(message);
            }
            let octets = collect::append(chunk, &mut message, limit)?;
            self.advance(octets);
        }
    }

    /// Puts the next line into `line`, without its line end; false at the end of the message. A line is held in memory:
    /// one beyond [`Limits::message_in_memory`](popwire_proto::Limits::message_in_memory) is refused.
    ///
    /// # Errors
    ///
    /// The errors of the session.
    pub async fn read_line(&mut self, line: &mut Vec<u8>) -> Result<bool> {
        line.clear();
        let limit = self.pump.core.machine.limits().message_in_memory;
        loop {
            let chunk = self.next_chunk().await?;
            if chunk.is_empty() {
                return Ok(!line.is_empty());
            }
            let (octets, complete) = collect::take(chunk, line, limit)?;
            self.advance(octets);
            if complete {
                return Ok(true);
            }
        }
    }

    async fn next_chunk(&mut self) -> Result<&[u8]> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await?;
        self.chunk()
    }

    /// Ready when [`Message::chunk`] has octets, or the message has ended.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            match self.end {
                Some(Ok(())) => return Poll::Ready(Ok(())),
                Some(Err(kind)) => return Poll::Ready(Err(Error::new(Kind::IrregularEnd(kind)))),
                None => {}
            }
            match self.pump.core.progress()? {
                Progress::Chunk => return Poll::Ready(Ok(())),
                Progress::NeedMore => ready!(self.pump.poll_fill(cx))?,
                Progress::Complete => self.end = Some(Ok(())),
                Progress::Irregular(kind) => self.end = Some(Err(kind)),
            }
        }
    }

    /// The octets at hand; none at the end of the message.
    fn chunk(&mut self) -> Result<&[u8]> {
        if self.end.is_some() { Ok(&[]) } else { self.pump.core.chunk() }
    }

    fn advance(&mut self, octets: usize) {
        self.octets += u64::try_from(octets).unwrap_or(u64::MAX);
        self.pump.core.consume(octets);
    }
}

impl Message<'_> {
    /// Reads straight into the caller's memory, if it is large and nothing has to come before; true if octets came.
    fn poll_read_within(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<bool>> {
        let room = buffer.remaining().min(self.pump.core.machine.limits().receive_buffer);
        while room >= WORTH_READING_WITHIN && self.end.is_none() && self.pump.core.machine.may_read_within() {
            let mut came = ReadBuf::new(buffer.initialize_unfilled_to(room));
            ready!(self.pump.poll_fill_elsewhere(cx, &mut came))?;
            let octets = self.pump.core.within(came.filled_mut())?;
            if octets > 0 {
                buffer.advance(octets);
                self.octets += u64::try_from(octets).unwrap_or(u64::MAX);
                return Poll::Ready(Ok(true));
            }
        }
        Poll::Ready(Ok(false))
    }
}

impl AsyncRead for Message<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if ready!(this.poll_read_within(cx, buffer))? {
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_chunk(cx))?;
        let chunk = this.chunk()?;
        let octets = chunk.len().min(buffer.remaining());
        buffer.put_slice(chunk.get(..octets).unwrap_or(chunk));
        this.advance(octets);
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for Message<'_> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_chunk(cx))?;
        Poll::Ready(Ok(this.chunk()?))
    }

    fn consume(self: Pin<&mut Self>, octets: usize) {
        self.get_mut().advance(octets);
    }
}
