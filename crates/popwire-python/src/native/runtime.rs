//! The threads on which the futures of asyncio's sessions run, and their end before the interpreter's.
//!
//! A thread that takes the interpreter while that is being finalized ends the process with a fatal error before Python 3.12,
//! or hangs. So when the interpreter is about to exit, every thread is first brought to where it does not have it, and then
//! kept there.

use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyCFunction;
use pyo3_async_runtimes::tokio::{get_runtime, init};

/// Sessions wait more than they work.
const THREADS: usize = 2;

/// Those that look names up, and that give asyncio its results.
const BLOCKING_THREADS: usize = 16;

/// How long the exit waits for a thread that is busy: with a Python file, say.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sets the threads up, when they are first needed.
pub(super) fn prepare(py: Python<'_>) -> PyResult<()> {
    static PREPARED: OnceLock<()> = OnceLock::new();
    if PREPARED.set(()).is_err() {
        return Ok(());
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(THREADS).max_blocking_threads(BLOCKING_THREADS);
    builder.thread_name("popwire").enable_all();
    init(builder);
    let at_exit = PyCFunction::new_closure(py, None, None, |arguments, _| arguments.py().detach(halt))?;
    py.import("atexit")?.call_method1("register", (at_exit,))?;
    Ok(())
}

/// Has each thread take a task that never ends. A thread that takes it has nothing else in its hands.
fn halt() {
    let (arrived, arrivals) = mpsc::channel();
    let runtime = get_runtime();
    for _ in 0..THREADS {
        let arrived = arrived.clone();
        runtime.spawn(async move { stay(&arrived) });
    }
    for _ in 0..BLOCKING_THREADS {
        let arrived = arrived.clone();
        runtime.spawn_blocking(move || stay(&arrived));
    }
    let until = Instant::now() + PATIENCE;
    for _ in 0..THREADS + BLOCKING_THREADS {
        if arrivals.recv_timeout(until.saturating_duration_since(Instant::now())).is_err() {
            break;
        }
    }
}

fn stay(arrived: &mpsc::Sender<()>) {
    let _ = arrived.send(());
    loop {
        thread::park();
    }
}
