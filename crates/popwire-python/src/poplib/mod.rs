//! What `popwire.poplib` has beneath it: the bulk reader of multi-line answers, and the mechanisms of SASL.

mod mechanism;
mod reader;

use pyo3::prelude::*;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<reader::Reader>()?;
    module.add_class::<mechanism::Mechanism>()
}
