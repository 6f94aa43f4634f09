//! The hot part of `shipper`, as a Python module. Without it the program does the same, more slowly.

mod cache;
mod encoder;
mod flow;
mod java;
mod json;
mod keys;
mod part;
mod people;
mod record;
mod secrets;
mod stamp;
mod subtrees;
mod tables;
mod write;

use pyo3::prelude::*;

/// Raised with each change of what Python sees, here and in `shipper/native.py`: another one's module is not used.
const INTERFACE: u32 = 5;

/// CloudTrail records and flow log lines of the usual kinds as ECS documents.
#[pymodule]
fn shipper_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("INTERFACE", INTERFACE)?;
    module.add_class::<encoder::CloudTrailEncoder>()?;
    module.add_class::<flow::FlowLines>()?;
    module.add_class::<secrets::SecretNames>()?;
    module.add_function(wrap_pyfunction!(keys::has_duplicate_keys, module)?)
}
