//! A transcript in place of a POP3 session.

use std::io::{self, Read as _};

use popwire_proto::stuff::Stuffer;
use tokio::time::sleep;

use super::Connection;
use crate::Direction;
use crate::answer::Then;
use crate::store::Content;
use crate::transcript::{Act, Transcript};
use crate::wire::CHUNK;

/// Longest line a client may send, in octets: that of a response in AUTH.
const LINE: usize = 64 << 10;

/// How long the lines of a message that is made up are.
const LINE_LEN: u64 = 76;

impl Connection {
    pub(super) async fn replay(&mut self, tls: bool, transcript: &Transcript) -> io::Result<Then> {
        if tls {
            self.start_tls().await?;
        }
        self.machine.set_line_limit(LINE);
        for act in transcript.acts().iter() {
            match act {
                Act::Hear(expected) => {
                    let Some(line) = self.next_line().await? else { return Ok(Then::Close) };
                    let line = line.unwrap_or_default();
                    self.record(Direction::Client, &[&line, &b"\r\n"[..]].concat());
                    if !expected.is(&line) {
                        // An answer has a line of bounded length, whatever the transcript has.
                        let text: String = expected.text.chars().take(400).collect();
                        self.err(None, &format!("transcript expects: {text}"));
                        return Ok(Then::Close);
                    }
                }
                Act::Say(octets) => {
                    self.record(Direction::Server, octets);
                    self.wire.out.extend_from_slice(octets);
                    self.wire.flush_chunk().await?;
                }
                Act::Message { octets, ended } => self.make_up(*octets, *ended).await?,
                Act::Flush => self.wire.flush().await?,
                Act::Wait(time) => {
                    self.wire.flush().await?;
                    sleep(*time).await;
                }
                Act::Tls if self.machine.is_tls() => {}
                Act::Tls => {
                    if let Err(pipelined) = self.machine.begin_tls() {
                        self.err(None, &pipelined.to_string());
                        return Ok(Then::Close);
                    }
                    self.wire.flush().await?;
                    self.start_tls().await?;
                }
                Act::End(then) => {
                    self.wire.flush().await?;
                    return Ok(*then);
                }
            }
        }
        Ok(Then::Close)
    }

    async fn make_up(&mut self, octets: u64, ended: bool) -> io::Result<()> {
        self.recorder.message(octets);
        let mut stuffer = Stuffer::with(self.shared.options.line_ends);
        // The shortest message that can be made up is a line end.
        if octets > 0 {
            let mut reader = Content::Generated { size: octets, line_len: LINE_LEN }.reader();
            let mut chunk = vec![0; CHUNK];
            while let read @ 1.. = reader.read(&mut chunk)? {
                stuffer.push(chunk.get(..read).unwrap_or_default(), &mut self.wire.out);
                self.wire.flush_chunk().await?;
            }
        }
        if ended {
            stuffer.finish(&mut self.wire.out);
        }
        Ok(())
    }
}
