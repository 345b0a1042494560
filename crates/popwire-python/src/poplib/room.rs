//! The room into which a Python stream reads: the one place with `unsafe`, and the reason why it is sound.
//!
//! Python's `readinto` wants an object to write into, and without a copy Rust has to look at that object's octets. No
//! other code may write to them meanwhile. That holds since the bytearray is made here, is lent to `readinto` only, and
//! is left to whoever has kept a reference to it afterwards: a slice is only ever taken of one that nobody else has.
#![allow(unsafe_code)]

use std::cell::Cell;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyMemoryView, PySlice};

/// So large that a message of a megabyte takes few reads, so small that it stays in the cache.
pub(super) const OCTETS: usize = 256 * 1024;

thread_local! {
    /// One that is not in use: to make it anew for each message would cost more than a small message does.
    static SPARE: Cell<Option<Py<PyByteArray>>> = const { Cell::new(None) };
}

/// Octets that were read and are not consumed.
pub(super) struct Room {
    /// Nobody else has a reference to it, but within [`Room::read`].
    octets: Py<PyByteArray>,
    begin: usize,
    end: usize,
}

impl Room {
    pub(super) fn new(py: Python<'_>) -> PyResult<Self> {
        let octets = match SPARE.take() {
            Some(spare) => spare,
            None => PyByteArray::new_with(py, OCTETS, |_| Ok(()))?.unbind(),
        };
        Ok(Self { octets, begin: 0, end: 0 })
    }

    /// What is not consumed.
    pub(super) fn unread<'a>(&'a self, py: Python<'a>) -> &'a [u8] {
        self.all(py).get(self.begin..self.end).unwrap_or_default()
    }

    pub(super) fn consume(&mut self, octets: usize) {
        self.begin = self.end.min(self.begin + octets);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.begin == self.end
    }

    /// Whether nothing more can be read before something is consumed.
    pub(super) fn is_full(&self) -> bool {
        self.begin == 0 && self.end == OCTETS
    }

    /// Takes as many of these octets as there is room for, and says how many.
    pub(super) fn take(&mut self, py: Python<'_>, octets: &[u8]) -> usize {
        self.move_to_front(py);
        let end = self.end;
        let Some(free) = self.all_mut(py).get_mut(end..) else { return 0 };
        let taken = free.len().min(octets.len());
        if let (Some(free), Some(octets)) = (free.get_mut(..taken), octets.get(..taken)) {
            free.copy_from_slice(octets);
        }
        self.end += taken;
        taken
    }

    /// Lets `readinto` fill the rest of the room, and says how many octets it brought.
    pub(super) fn read(&mut self, py: Python<'_>, readinto: &Bound<'_, PyAny>) -> PyResult<usize> {
        self.move_to_front(py);
        let brought = if self.end == 0 {
            readinto.call1((&self.octets,))?
        } else {
            let view = PyMemoryView::from(self.octets.bind(py))?;
            readinto.call1((view.get_item(PySlice::new(py, self.end.try_into()?, isize::MAX, 1))?,))?
        };
        if !self.is_ours(py) {
            // Somebody kept it, and may do with it what he likes.
            self.octets = PyByteArray::new(py, &self.octets.bind(py).to_vec()).unbind();
        }
        // A stream that does not wait has brought nothing, and says None.
        let brought: usize = brought.extract::<Option<usize>>()?.unwrap_or_default();
        if self.octets.bind(py).len() != OCTETS || brought > OCTETS - self.end {
            return Err(PyOSError::new_err("readinto() returned invalid length"));
        }
        self.end += brought;
        Ok(brought)
    }

    /// Whether nobody else has a reference to it.
    fn is_ours(&self, py: Python<'_>) -> bool {
        // SAFETY: it only reads the count of an object that is alive.
        unsafe { pyo3::ffi::Py_REFCNT(self.octets.bind(py).as_ptr()) == 1 }
    }

    fn move_to_front(&mut self, py: Python<'_>) {
        if self.begin == 0 {
            return;
        }
        let unread = self.begin..self.end;
        self.end -= self.begin;
        self.begin = 0;
        if !unread.is_empty() {
            self.all_mut(py).copy_within(unread, 0);
        }
    }

    fn all<'a>(&'a self, py: Python<'a>) -> &'a [u8] {
        // SAFETY: nobody else has a reference, so that nobody writes or resizes while `self` is borrowed, even if the
        // interpreter is left to other threads.
        unsafe { self.octets.bind(py).as_bytes() }
    }

    fn all_mut<'a>(&'a mut self, py: Python<'a>) -> &'a mut [u8] {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { self.octets.bind(py).as_bytes_mut() }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        Python::attach(|py| {
            if self.is_ours(py) && self.octets.bind(py).len() == OCTETS {
                SPARE.set(Some(self.octets.clone_ref(py)));
            }
        });
    }
}
