//! What `popwire.Client` and `popwire.AsyncClient` have beneath them: a session of each door of the Rust library.
//!
//! Commands stand once, in `commands.rs`; both doors make their methods from that list. What comes back is plain values,
//! which the Python side gives their names.

mod asyncio;
mod blocking;
mod commands;
mod errors;
mod login;
mod runtime;
mod settings;
mod sinks;
mod transport;
mod values;

use pyo3::prelude::*;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<settings::Settings>()?;
    module.add_class::<login::Login>()?;
    module.add_class::<blocking::Session>()?;
    module.add_class::<asyncio::AsyncSession>()
}
