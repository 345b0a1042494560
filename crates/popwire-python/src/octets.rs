//! A message in the making, in the memory of the Python `bytes` that it becomes, so that it is copied once, or not at all.
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

/// The most that is believed of an announced size: memory that nothing came for yet.
const MOST_BELIEVED: usize = 64 << 20;

/// Of the C API; its header shows it to the limited API from Python 3.11 on.
const PYBUF_WRITE: std::ffi::c_int = 0x200;

/// The largest number in a status line: a guess at the size of what follows, and no more than that.
pub(crate) fn announced(status: &[u8]) -> usize {
    let numbers = status.split(|octet| !octet.is_ascii_digit());
    numbers.filter_map(|digits| str::from_utf8(digits).ok()?.parse().ok()).max().unwrap_or_default()
}

/// The octets so far.
pub(crate) struct Octets {
    /// Its first `len` octets are the message so far, and those behind them what [`Octets::read`] has brought.
    object: Py<PyBytes>,
    /// Where they lie.
    data: *mut u8,
    announced: usize,
    len: usize,
    brought: usize,
    /// All of the message, if it is larger than announced.
    spilled: Option<Vec<u8>>,
}

// SAFETY: the memory is that of the object, which may be held by any thread, and nobody else has a reference to it.
unsafe impl Send for Octets {}

impl Octets {
    /// None yet, of so many that are announced.
    pub(crate) fn new(py: Python<'_>, announced: usize) -> PyResult<Self> {
        let announced = if announced > MOST_BELIEVED { 0 } else { announced };
        // SAFETY: a new object of that size, or null and an exception. Its octets are only looked at once they are set.
        let (object, data) = unsafe {
            let object = ffi::PyBytes_FromStringAndSize(ptr::null(), announced.try_into()?);
            let object: Bound<'_, PyBytes> = Bound::from_owned_ptr_or_err(py, object)?.cast_into_unchecked();
            let data = ffi::PyBytes_AsString(object.as_ptr()).cast();
            (object.unbind(), data)
        };
        Ok(Self { object, data, announced, len: 0, brought: 0, spilled: None })
    }

    /// How many octets [`Octets::read`] may bring.
    pub(crate) fn free(&self) -> usize {
        if self.spilled.is_some() { 0 } else { self.announced - self.len }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.spilled.as_ref().map_or(self.len, Vec::len)
    }

    /// Appends octets from elsewhere.
    pub(crate) fn append(&mut self, octets: &[u8]) {
        if self.spilled.is_none() && octets.len() > self.free() {
            self.spilled = Some(self.slice(0, self.len).to_vec());
        }
        match &mut self.spilled {
            Some(all) => all.extend_from_slice(octets),
            None => {
                // SAFETY: there is room for them behind those that are set, and they lie elsewhere.
                unsafe { ptr::copy_nonoverlapping(octets.as_ptr(), self.data.add(self.len), octets.len()) };
                self.len += octets.len();
            }
        }
    }

    /// Lets `readinto` fill free octets, `most` at once, and says how many it brought. They are no part of the message
    /// before they are kept.
    pub(crate) fn read(
        &mut self,
        py: Python<'_>,
        readinto: &Bound<'_, PyAny>,
        most: usize,
    ) -> PyResult<usize> {
        let free = self.free().min(most);
        // SAFETY: the memory is there as long as the object is, and the view ends within this method. If it cannot be
        // ended, since somebody has made another view of it, the object stays for ever.
        let view = unsafe {
            let begin = self.data.add(self.len).cast();
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

    /// What [`Octets::read`] has brought, from this octet on.
    pub(crate) fn brought(&self, begin: usize) -> &[u8] {
        self.slice(self.len + begin.min(self.brought), self.len + self.brought)
    }

    /// Keeps so many octets of those that were brought, from `begin` on, and gives up those before them.
    pub(crate) fn keep(&mut self, begin: usize, octets: usize) {
        let begin = begin.min(self.brought);
        let octets = octets.min(self.brought - begin);
        // Counted from what is kept, as `begin` is.
        self.brought -= octets;
        if begin > 0 {
            // SAFETY: both places are within the object.
            unsafe {
                let data = self.data.add(self.len);
                ptr::copy(data.add(begin), data, octets);
            }
        }
        self.len += octets;
    }

    /// The message.
    pub(crate) fn finish(self, py: Python<'_>) -> Bound<'_, PyBytes> {
        match &self.spilled {
            Some(all) => PyBytes::new(py, all),
            None if self.len == self.announced => self.object.into_bound(py),
            None => PyBytes::new(py, self.slice(0, self.len)),
        }
    }

    fn slice(&self, begin: usize, end: usize) -> &[u8] {
        let end = end.min(self.len + self.brought);
        let begin = begin.min(end);
        // SAFETY: they are within the object, are set, and are changed by `&mut self` only.
        unsafe { slice::from_raw_parts(self.data.add(begin), end - begin) }
    }
}
