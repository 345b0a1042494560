//! A message in the making, in the memory of the Python `bytes` that it becomes: where the server has told its size, the
//! stream reads it there, and it is never copied.
//!
//! The object has room for exactly the octets that were announced, and nobody else has it until it is full. A server that
//! was wrong costs a copy, and nothing else. Its memory is not zeroed first, which would cost as much as to look for the
//! end of the message: as `io.BufferedReader` does, this relies on a stream to have set what it says it has.
#![allow(unsafe_code)]

use std::{ptr, slice};

use pyo3::exceptions::PyOSError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::room;

/// The most that is believed of an announced size: memory that nothing came for yet.
const MOST_BELIEVED: usize = 64 << 20;

/// Of the C API; its header shows it to the limited API from Python 3.11 on.
const PYBUF_WRITE: std::ffi::c_int = 0x200;

pub(super) struct Message {
    /// Its first `len` octets are the message so far, and those behind them what [`Message::read`] has brought.
    object: Py<PyBytes>,
    announced: usize,
    len: usize,
    brought: usize,
    /// All of the message, if it is larger than announced.
    spilled: Option<Vec<u8>>,
}

impl Message {
    /// One of which so many octets are announced.
    pub(super) fn new(py: Python<'_>, announced: usize) -> PyResult<Self> {
        let announced = if announced > MOST_BELIEVED { 0 } else { announced };
        // SAFETY: a new object of that size, or null and an exception. Its octets are only looked at once they are set.
        let object = unsafe {
            let object = ffi::PyBytes_FromStringAndSize(ptr::null(), announced.try_into()?);
            Bound::from_owned_ptr_or_err(py, object)?.cast_into_unchecked().unbind()
        };
        Ok(Self { object, announced, len: 0, brought: 0, spilled: None })
    }

    /// How many octets [`Message::read`] may bring.
    pub(super) fn free(&self) -> usize {
        if self.spilled.is_some() { 0 } else { self.announced - self.len }
    }

    /// Appends octets from elsewhere.
    pub(super) fn append(&mut self, py: Python<'_>, octets: &[u8]) {
        if self.spilled.is_none() && octets.len() > self.free() {
            self.spilled = Some(self.octets(py, 0, self.len).to_vec());
        }
        match &mut self.spilled {
            Some(all) => all.extend_from_slice(octets),
            None => {
                // SAFETY: there is room for them behind those that are set, and they lie elsewhere.
                unsafe {
                    ptr::copy_nonoverlapping(octets.as_ptr(), self.data(py).add(self.len), octets.len())
                };
                self.len += octets.len();
            }
        }
    }

    /// Lets `readinto` fill the free octets, and says how many it brought. They are no part of the message before they
    /// are kept.
    pub(super) fn read(&mut self, py: Python<'_>, readinto: &Bound<'_, PyAny>) -> PyResult<usize> {
        // What is found to be no part of the message has to find room elsewhere.
        let free = self.free().min(room::OCTETS);
        // SAFETY: the memory is there as long as the object is, and the view ends within this method. If it cannot be
        // ended, since somebody has made another view of it, the object stays for ever.
        let view = unsafe {
            let begin = self.data(py).add(self.len).cast();
            let view = ffi::PyMemoryView_FromMemory(begin, free.try_into()?, PYBUF_WRITE);
            Bound::from_owned_ptr_or_err(py, view)?
        };
        let brought = readinto.call1((&view,));
        if let Err(error) = view.call_method0(intern!(py, "release")) {
            std::mem::forget(self.object.clone_ref(py));
            return Err(error);
        }
        // A stream that does not wait has brought nothing, and says None.
        let brought = brought?.extract::<Option<usize>>()?.unwrap_or_default();
        if brought > free {
            return Err(PyOSError::new_err("readinto() returned invalid length"));
        }
        self.brought = brought;
        Ok(brought)
    }

    /// What [`Message::read`] has brought, from this octet on.
    pub(super) fn brought(&self, py: Python<'_>, begin: usize) -> &[u8] {
        self.octets(py, self.len + begin.min(self.brought), self.len + self.brought)
    }

    /// Keeps so many octets of those that were brought, from `begin` on, and gives up those before them.
    pub(super) fn keep(&mut self, py: Python<'_>, begin: usize, octets: usize) {
        let begin = begin.min(self.brought);
        let octets = octets.min(self.brought - begin);
        // Counted from what is kept, as `begin` is.
        self.brought -= octets;
        if begin > 0 {
            // SAFETY: both places are within the object.
            unsafe {
                let data = self.data(py).add(self.len);
                ptr::copy(data.add(begin), data, octets);
            }
        }
        self.len += octets;
    }

    /// The message.
    pub(super) fn finish(self, py: Python<'_>) -> Bound<'_, PyBytes> {
        match self.spilled {
            Some(all) => PyBytes::new(py, &all),
            None if self.len == self.announced => self.object.into_bound(py),
            None => PyBytes::new(py, self.octets(py, 0, self.len)),
        }
    }

    fn octets(&self, py: Python<'_>, begin: usize, end: usize) -> &[u8] {
        let end = end.min(self.len + self.brought);
        let begin = begin.min(end);
        // SAFETY: they are within the object, are set, and are changed by `&mut self` only.
        unsafe { slice::from_raw_parts(self.data(py).add(begin), end - begin) }
    }

    fn data(&self, py: Python<'_>) -> *mut u8 {
        // SAFETY: the object is bytes.
        unsafe { ffi::PyBytes_AsString(self.object.bind(py).as_ptr()).cast() }
    }
}
