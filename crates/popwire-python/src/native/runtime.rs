//! The threads on which the futures of asyncio's sessions run, and their end before the interpreter's.
//!
//! A thread that takes the interpreter while that is being finalized ends the process with a fatal error before Python 3.12,
//! or hangs. So when the interpreter is about to exit, every thread is first brought to where it does not have it, and then
//! kept there.

use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyCFunction;
use pyo3_async_runtimes::tokio::{get_runtime, init};

/// Sessions wait more than they work.
const THREADS: usize = 2;

/// How long the exit waits for a thread that is busy: with a Python file, say.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sets the threads up, when they are first needed.
pub(super) fn prepare(py: Python<'_>) -> PyResult<()> {
    static PREPARED: OnceLock<()> = OnceLock::new();
    if PREPARED.set(()).is_err() {
        return Ok(());
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(THREADS).thread_name("popwire").enable_all();
    init(builder);
    let at_exit = PyCFunction::new_closure(py, None, None, |arguments, _| arguments.py().detach(halt))?;
    py.import("atexit")?.call_method1("register", (at_exit,))?;
    Ok(())
}

/// Has each thread take a task that never ends. A thread that takes it has nothing else in its hands.
fn halt() {
    let (arrived, arrivals) = mpsc::channel();
    let arrived = Arc::new(arrived);
    for _ in 0..THREADS {
        let arrived = Arc::clone(&arrived);
        get_runtime().spawn(async move {
            let _ = arrived.send(());
            loop {
                thread::park();
            }
        });
    }
    let until = Instant::now() + PATIENCE;
    for _ in 0..THREADS {
        let left = until.saturating_duration_since(Instant::now());
        if arrivals.recv_timeout(left).is_err() {
            break;
        }
    }
}
