//! The faults of one connection, below TLS.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::Effect;
use super::session::{Pace, Sabotage, garbage};
use crate::answer::Then;

/// TCP as TLS sees it.
pub(crate) struct Raw {
    tcp: TcpStream,
    /// Octets sent in the handshake, or since.
    sent: u64,
    /// What happens after how many of them, in order.
    due: VecDeque<(u64, Effect)>,
    /// The same for after the handshake.
    later: Vec<(u64, Effect)>,
    pace: Option<Pace>,
    /// Sent before anything else.
    inserted: Vec<u8>,
    pausing: Option<Pin<Box<Sleep>>>,
    ending: Option<Then>,
}

impl Raw {
    pub(crate) fn new(tcp: TcpStream, sabotage: Option<&Sabotage>) -> Self {
        let [handshake, later] = sabotage.map(Sabotage::below_tls).unwrap_or_default();
        Self {
            tcp,
            sent: 0,
            due: in_order(handshake),
            later,
            pace: None,
            inserted: Vec::new(),
            pausing: None,
            ending: None,
        }
    }

    /// What comes now is counted anew.
    pub(crate) fn handshake_done(&mut self) {
        self.sent = 0;
        self.pace = None;
        self.due = in_order(std::mem::take(&mut self.later));
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    pub(crate) fn into_tcp(self) -> TcpStream {
        self.tcp
    }

    /// How a fault ended the conversation, if one did.
    pub(crate) fn ending(&self) -> Option<Then> {
        self.ending
    }

    fn happen(&mut self, effect: Effect) {
        match effect {
            Effect::Stall(time) => self.pausing = Some(Box::pin(sleep(time))),
            Effect::Bytewise => self.pace = Some(Pace { octets: 1, pause: Duration::ZERO }),
            Effect::Drip { octets, every } => {
                let octets = usize::try_from(octets).unwrap_or(usize::MAX);
                self.pace = Some(Pace { octets, pause: every });
            }
            Effect::Hang => self.ending = Some(Then::Hang),
            Effect::Reset => self.ending = Some(Then::Reset),
            Effect::Cut => self.ending = Some(Then::Cut),
            Effect::Garbage(octets) => {
                self.inserted = garbage(octets);
                self.ending = Some(Then::Close);
            }
            Effect::Alert(description) => {
                // RFC 8446 section 5.1: an alert's record, of the version that all have, of two octets: fatal, and why.
                self.inserted = vec![21, 3, 3, 0, 2, 2, description];
                self.ending = Some(Then::Close);
            }
            // A write ends here, which is all it takes; the others are none for this place.
            _ => {}
        }
    }
}

fn in_order(mut faults: Vec<(u64, Effect)>) -> VecDeque<(u64, Effect)> {
    // Stable: at one place they happen as they were planned.
    faults.sort_by_key(|(at, _)| *at);
    faults.into()
}

impl AsyncRead for Raw {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Raw {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            if let Some(pausing) = &mut this.pausing {
                ready!(pausing.as_mut().poll(cx));
                this.pausing = None;
            }
            if !this.inserted.is_empty() {
                let written = ready!(Pin::new(&mut this.tcp).poll_write(cx, &this.inserted))?;
                this.inserted.drain(..written.min(this.inserted.len()));
                continue;
            }
            if this.ending.is_some() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            let mut most = buf.len();
            if let Some((at, effect)) = this.due.front().copied() {
                if at > this.sent {
                    most = most.min(usize::try_from(at - this.sent).unwrap_or(usize::MAX));
                } else if effect != Effect::Corrupt {
                    this.due.pop_front();
                    this.happen(effect);
                    continue;
                } else if let Some(octet) = buf.first() {
                    let written = ready!(Pin::new(&mut this.tcp).poll_write(cx, &[!octet]))?;
                    this.due.pop_front();
                    this.sent += written as u64;
                    return Poll::Ready(Ok(written));
                }
            }
            if let Some(pace) = this.pace {
                most = most.min(pace.octets);
            }
            let written =
                ready!(Pin::new(&mut this.tcp).poll_write(cx, buf.get(..most).unwrap_or_default()))?;
            this.sent += written as u64;
            this.pausing =
                this.pace.filter(|pace| !pace.pause.is_zero()).map(|pace| Box::pin(sleep(pace.pause)));
            return Poll::Ready(Ok(written));
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
