//! Answers as plain Python values. `popwire/_values.py` gives them their names.

use std::io;

use popwire::proto::listing::{LastAccessed, OneScan, OneUniqueId};
use popwire::{Capabilities, Farewell, Inventory, Reply, ScanListing, Stat, TlsInfo, UniqueIds};
use pyo3::IntoPyObjectExt as _;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::errors;

/// Octets that are `bytes` in Python.
pub(super) struct Bytes(Vec<u8>);

impl From<&[u8]> for Bytes {
    fn from(octets: &[u8]) -> Self {
        Self(octets.to_vec())
    }
}

impl<'py> IntoPyObject<'py> for Bytes {
    type Target = PyBytes;
    type Output = Bound<'py, PyBytes>;
    type Error = std::convert::Infallible;

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Self::Error> {
        Ok(PyBytes::new(py, &self.0))
    }
}

/// A value, or the exception in its place.
pub(super) enum Outcome<T> {
    Value(T),
    Error(popwire::Error),
    Raised(PyErr),
}

impl<T> From<io::Result<T>> for Outcome<T> {
    fn from(result: io::Result<T>) -> Self {
        match result {
            Ok(value) => Self::Value(value),
            Err(error) => match error.downcast::<popwire::Error>() {
                Ok(error) => Self::Error(error),
                Err(other) => Self::Raised(other.into()),
            },
        }
    }
}

impl<T> From<popwire::Result<T>> for Outcome<T> {
    fn from(result: popwire::Result<T>) -> Self {
        result.map_or_else(Self::Error, Self::Value)
    }
}

impl<'py, T: IntoPyObject<'py>> IntoPyObject<'py> for Outcome<T>
where
    PyErr: From<T::Error>,
{
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, PyErr> {
        match self {
            Self::Value(value) => value.into_bound_py_any(py),
            Self::Error(error) => Ok(errors::exception(py, &error).into_value(py).into_bound(py).into_any()),
            Self::Raised(raised) => Ok(raised.into_value(py).into_bound(py).into_any()),
        }
    }
}

pub(super) type Listed<T> = Vec<(u32, T)>;

pub(super) fn line(reply: Reply) -> Bytes {
    reply.line().as_bytes().into()
}

pub(super) fn stat(stat: Stat) -> (u64, Option<u64>) {
    (stat.messages, stat.octets)
}

pub(super) fn scans(scans: ScanListing) -> Listed<Option<u64>> {
    scans.iter().map(|scan| (scan.number, scan.octets)).collect()
}

pub(super) fn one_scan(one: OneScan) -> (u32, Option<u64>) {
    (one.scan.number, one.scan.octets)
}

pub(super) fn unique_ids(ids: UniqueIds) -> Listed<Bytes> {
    ids.iter().map(|(number, id)| (number, id.as_bytes().into())).collect()
}

pub(super) fn one_unique_id(one: OneUniqueId) -> (u32, Bytes) {
    (one.number, one.uid().as_bytes().into())
}

pub(super) type Stock = (Outcome<(u64, Option<u64>)>, Outcome<Listed<Option<u64>>>, Outcome<Listed<Bytes>>);

pub(super) fn inventory(inventory: Inventory) -> Stock {
    let Inventory { stat, scans, unique_ids, .. } = inventory;
    (stat.map(self::stat).into(), scans.map(self::scans).into(), unique_ids.map(self::unique_ids).into())
}

pub(super) fn capabilities(capabilities: &Capabilities) -> Vec<(String, Vec<String>)> {
    let text = |text: &popwire::proto::Text| String::from_utf8_lossy(text.as_bytes()).into_owned();
    capabilities.iter().map(|one| (text(&one.tag), one.arguments.iter().map(text).collect())).collect()
}

pub(super) fn tls(info: &TlsInfo) -> (String, String, Bytes, bool) {
    (info.version.clone(), info.cipher_suite.clone(), info.certificate.as_slice().into(), info.verified)
}

pub(super) fn last(last: LastAccessed) -> u64 {
    last.number
}

pub(super) fn data(reply: Reply) -> (Bytes, Bytes) {
    (reply.line().as_bytes().into(), reply.data().into())
}

pub(super) fn as_it_is<T>(value: T) -> T {
    value
}

/// `(kind, marked, the server's line, the error)`.
pub(super) type Parting = (&'static str, u64, Option<Bytes>, Option<Outcome<()>>);

pub(super) fn farewell(farewell: Farewell) -> Parting {
    match farewell {
        Farewell::Committed { marked, reply } => ("committed", marked, reply.map(line), None),
        Farewell::Refused { marked, reply } => ("refused", marked, Some(line(reply)), None),
        Farewell::Unknown { marked, error } => ("unknown", marked, None, Some(Outcome::Error(error))),
        _ => ("unknown", 0, None, None),
    }
}
