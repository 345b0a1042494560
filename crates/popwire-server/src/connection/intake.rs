//! How input is taken in: the idle timer, lines that make no sense, and what a read brought.

use popwire_proto::server::{COMMAND_LINE, Fault, Machine};
use socket2::SockRef;
use tokio::net::TcpStream;

use super::Connection;
use crate::answer::Then;
use crate::quirks::{InputQuirks, Pipeline};

/// So much without a line end is too much for those who look.
const EXCESS: usize = 64 << 10;

/// Less than systems allow: they take their minimum, some kilobytes.
const SMALL: usize = 1024;

/// What a connection remembers of its input.
#[derive(Default)]
pub(super) struct Intake {
    /// The beginning of a command was lost.
    cut_off: bool,
    /// The command being answered was refused.
    pub(super) refused: bool,
    /// Lines that made no sense since the last that did.
    bad: u64,
    /// Octets of a line that has not ended.
    unfinished: usize,
}

/// Lets the system hold as little as it can of what the client has not taken.
pub(super) fn shrink(stream: &TcpStream) {
    // Should the option fail, writes stall later.
    let _ = SockRef::from(stream).set_send_buffer_size(SMALL);
}

impl Intake {
    /// Takes in what a read brought.
    pub(super) fn take_in(&mut self, quirks: &InputQuirks, machine: &mut Machine, read: &[u8]) {
        let (taken, cut_off) = quirks.take_in(read);
        machine.receive(&taken);
        self.cut_off = cut_off;
        let line = read.iter().rev().position(|octet| *octet == b'\n');
        self.unfinished = line.unwrap_or(self.unfinished.saturating_add(read.len()));
    }
}

impl Connection {
    /// The longest command line.
    pub(super) fn command_line(&self) -> usize {
        self.shared.options.quirks.input.line_max.unwrap_or(COMMAND_LINE)
    }

    /// Whether the client has sent more without a line end than is borne. It is told so.
    pub(super) fn is_flooded(&mut self) -> bool {
        let watched = self.shared.options.quirks.input.line_max.is_some();
        let flooded = watched && self.intake.unfinished > EXCESS;
        if flooded {
            self.err(None, "Excessive amount of data sent to server.");
        }
        flooded
    }

    /// Refuses a command whose beginning was lost, after those that came before it.
    pub(super) fn refuse_piece(&mut self) {
        if std::mem::take(&mut self.intake.cut_off) {
            self.err(None, "incomplete command");
        }
    }

    /// A command was answered: forgets what came behind it, where a refusal does that.
    pub(super) fn answered(&mut self) {
        let refused = std::mem::take(&mut self.intake.refused);
        if refused && self.shared.options.quirks.input.pipeline == Pipeline::FlushedOnError {
            self.machine.take_input();
        }
    }

    /// The idle timer has run out. RFC 1939 section 3: without UPDATE, and without a word.
    pub(super) fn autologout(&mut self) {
        if let Some(text) = self.shared.options.quirks.input.autologout {
            self.err(None, text);
        }
    }

    /// Refuses a line that makes no sense.
    pub(super) fn refuse_line(&mut self, fault: Fault) -> Then {
        let (line_max, bad_cmd_max) = {
            let quirks = &self.shared.options.quirks.input;
            (quirks.line_max, quirks.bad_cmd_max)
        };
        match fault {
            Fault::TooLong if line_max.is_some() => self.err(None, "Line too long."),
            fault => self.err(None, &fault.to_string()),
        }
        self.intake.bad += 1;
        if bad_cmd_max.is_some_and(|most| self.intake.bad > most) {
            self.err(None, "Too many bad commands.");
            return Then::Close;
        }
        Then::Continue
    }

    /// A line made sense.
    pub(super) fn made_sense(&mut self) {
        self.intake.bad = 0;
    }
}
