//! How a program says what it did: one line of JSON. Memory and system calls are for its parent to measure.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// Measures from its making on.
#[derive(Debug)]
pub struct Watch {
    began: Instant,
}

impl Watch {
    /// Begins to measure.
    #[must_use]
    pub fn start() -> Self {
        Self { began: Instant::now() }
    }

    /// Prints the seconds since the beginning, the seconds of processor time that the whole process took, and what was
    /// handled.
    pub fn report(&self, messages: u64, octets: u64) {
        let seconds = self.began.elapsed().as_secs_f64();
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let cpu = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
        println!(r#"{{"seconds":{seconds:.6},"cpu":{cpu:.6},"messages":{messages},"octets":{octets}}}"#);
    }
}
