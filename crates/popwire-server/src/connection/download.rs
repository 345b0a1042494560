//! RETR and TOP: messages streamed from the store to the client, never whole in memory.

use std::io::{self, Read};
use std::sync::Arc;

use popwire_proto::ResponseCode;
use popwire_proto::stuff::{LineEnds, TopCutter, WireSize};
use tokio::time::sleep;

use super::{Connection, with_store};
use crate::Maildrop;
use crate::answer::Then;
use crate::edit::Chain;
use crate::store::Entry;
use crate::wire::CHUNK;

impl Connection {
    pub(super) async fn retr(&mut self, number: u64) -> io::Result<Then> {
        let Some(entry) = self.find(number) else { return Ok(Then::Continue) };
        let Some(body) = self.open(&entry).await? else { return Ok(Then::Continue) };
        if let Some(mailbox) = &mut self.mailbox {
            mailbox.accessed(number);
        }
        let delay = self.shared.options.quirks.message.delay;
        if !delay.is_zero() {
            // Answers to earlier commands do not wait with it.
            self.wire.flush().await?;
            sleep(delay).await;
        }
        self.ok(format!("{} octets", entry.size));
        let chain = self.chain(&entry, false);
        self.stream(body, None, chain, Some(entry)).await
    }

    pub(super) async fn top(&mut self, number: u64, lines: u64) -> io::Result<Then> {
        let Some(entry) = self.find(number) else { return Ok(Then::Continue) };
        let shared = Arc::clone(&self.shared);
        let quirks = &shared.options.quirks.message.top;
        if quirks.arg_max.is_some_and(|most| lines > most) {
            self.err(None, "too many lines");
            return Ok(Then::Continue);
        }
        let Some(body) = self.open(&entry).await? else { return Ok(Then::Continue) };
        self.ok("top of message follows");
        let cutter = quirks.cutter(lines, shared.options.line_ends);
        let chain = self.chain(&entry, true);
        self.stream(body, cutter, chain, quirks.marks_seen.then_some(entry)).await
    }

    fn chain(&self, entry: &Entry, top: bool) -> Chain {
        let options = &self.shared.options;
        options.quirks.message.chain(entry, top, options.line_ends)
    }

    /// Whether a message's header has octets that only UTF8 mode may show (RFC 6856 section 2.1). Without the UTF8
    /// capability all messages are shown as they are, as servers do.
    pub(super) async fn needs_utf8(&mut self, entry: &Entry) -> io::Result<bool> {
        if !self.shared.options.utf8 || self.utf8 {
            return Ok(false);
        }
        let Some(mailbox) = &self.mailbox else { return Ok(false) };
        let Ok(mut body) = Body::open(&mailbox.maildrop, entry).await? else { return Ok(false) };
        let mut header = TopCutter::new(0, LineEnds::Crlf);
        while !header.is_done() && body.read().await? {
            if !header.take(&body.chunk).is_ascii() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The message's octets, or `None` and an answer that says why.
    async fn open(&mut self, entry: &Entry) -> io::Result<Option<Body>> {
        if self.needs_utf8(entry).await? {
            self.err(Some(ResponseCode::Utf8), "the message needs UTF8");
            return Ok(None);
        }
        let Some(mailbox) = &self.mailbox else { return Ok(None) };
        match Body::open(&mailbox.maildrop, entry).await? {
            Ok(body) => Ok(Some(body)),
            Err(error) => {
                let code = (error.kind() != io::ErrorKind::NotFound).then_some(ResponseCode::SysTemp);
                self.err(code, "the message cannot be read");
                Ok(None)
            }
        }
    }

    /// Streams a body, edited; at its end, but before the client can know, marks `seen`.
    async fn stream(
        &mut self,
        mut body: Body,
        mut cutter: Option<TopCutter>,
        mut chain: Chain,
        seen: Option<Entry>,
    ) -> io::Result<Then> {
        // What a recording says of the size; the whole message's is known.
        let mut size = cutter.is_some().then(|| WireSize::new(self.shared.options.line_ends));
        let whole = seen.as_ref().map_or(0, |entry| entry.size);
        while !cutter.as_ref().is_some_and(TopCutter::is_done) {
            match body.read().await {
                Ok(true) => {}
                Ok(false) => break,
                // Only the lack of a terminator can still say that this is not the whole message.
                Err(_) => return Ok(Then::Close),
            }
            let part = match &mut cutter {
                Some(cutter) => cutter.take(&body.chunk),
                None => &body.chunk,
            };
            if let Some(size) = &mut size {
                size.push(part);
            }
            chain.push(part, &mut self.wire.out);
            self.wire.flush_chunk().await?;
        }
        let seen = seen.filter(|_| !self.shared.options.read_only);
        if let (Some(entry), Some(mailbox)) = (seen, &self.mailbox) {
            // A mark that cannot be stored is no reason to withhold the message.
            let _ =
                with_store(&mailbox.maildrop, move |maildrop| maildrop.store().mark_seen(&entry.key)).await;
        }
        self.recorder.message(size.map_or(whole, WireSize::finish));
        chain.finish(&mut self.wire.out);
        Ok(Then::Continue)
    }
}

/// A message being read, a chunk at a time.
struct Body {
    /// `None` while another thread reads.
    reader: Option<Box<dyn Read + Send>>,
    blocks: bool,
    /// What was read last.
    chunk: Vec<u8>,
    /// What one read takes.
    room: usize,
}

impl Body {
    /// The outer error is the server's own, the inner one the store's.
    async fn open(maildrop: &Maildrop, entry: &Entry) -> io::Result<io::Result<Self>> {
        let key = entry.key.clone();
        let reader = with_store(maildrop, move |maildrop| maildrop.store().open(&key)).await?;
        let blocks = maildrop.store().blocks();
        // Most messages are small: they get no more room than they need, and the size on the wire is enough for them.
        let room = usize::try_from(entry.size).unwrap_or(CHUNK).clamp(512, CHUNK);
        Ok(reader.map(|reader| Self { reader: Some(reader), blocks, chunk: Vec::new(), room }))
    }

    /// Fills `chunk`; `false` at the end.
    async fn read(&mut self) -> io::Result<bool> {
        let Some(mut reader) = self.reader.take() else { return Ok(false) };
        let (mut chunk, room) = (std::mem::take(&mut self.chunk), self.room);
        let read = move || {
            chunk.resize(room, 0);
            let read = loop {
                match reader.read(&mut chunk) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read,
                }
            };
            read.map(|read| {
                chunk.truncate(read);
                (reader, chunk)
            })
        };
        let read = if self.blocks {
            tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
        } else {
            // A fast reader never makes the task wait: it has to let others go first by itself.
            tokio::task::yield_now().await;
            read()
        };
        let (reader, chunk) = read?;
        (self.reader, self.chunk) = (Some(reader), chunk);
        Ok(!self.chunk.is_empty())
    }
}
