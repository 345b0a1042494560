//! `popwire._native`: what the Python package `popwire` has in Rust.
//!
//! One module of functions and classes that `python/popwire/` builds upon; nothing of it is public by itself. A new
//! class is added to its room's `register`, and the rooms are listed here.

mod native;
mod octets;
mod poplib;
mod room;
mod testing;

use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    native::register(module)?;
    poplib::register(module)?;
    testing::register(module)
}
