//! A bytearray through which octets go between Rust and Python without a copy.
//!
//! Python's `readinto` wants an object to write into, and `write` one to read from, and Rust has to look at that object's
//! octets. No other code may write to them meanwhile. That holds since the bytearray is made here, is lent to one call at a
//! time, and is left to whoever has kept a reference to it afterwards: a slice is only ever taken of one that nobody else has.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::{io, slice};

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyMemoryView, PySlice};

/// So large that a message of a megabyte takes few reads, so small that it stays in the cache.
pub(crate) const OCTETS: usize = 256 * 1024;

/// Less than this that is free is not worth another read.
const WORTH_FILLING: usize = OCTETS / 4;

thread_local! {
    /// One that is not in use: to make it anew for each message would cost more than a small message does.
    static SPARE: Cell<Option<Py<PyByteArray>>> = const { Cell::new(None) };
}

/// Octets that were read and are not consumed.
pub(crate) struct Room {
    /// Nobody else has a reference to it, but within [`Room::read`].
    octets: Py<PyByteArray>,
    /// Where its octets lie, all [`OCTETS`] of them.
    data: *mut u8,
    begin: usize,
    end: usize,
}

// SAFETY: the memory is that of the object, which any thread may hold.
unsafe impl Send for Room {}
// SAFETY: what is done with `&Room` only reads.
unsafe impl Sync for Room {}

impl Room {
    pub(crate) fn new(py: Python<'_>) -> PyResult<Self> {
        match SPARE.take() {
            Some(spare) => Ok(Self::of(spare, py)),
            None => Ok(Self::of(PyByteArray::new_with(py, OCTETS, |_| Ok(()))?.unbind(), py)),
        }
    }

    /// A bytearray of that size which nobody else has.
    fn of(octets: Py<PyByteArray>, py: Python<'_>) -> Self {
        let data = octets.bind(py).data();
        Self { octets, data, begin: 0, end: 0 }
    }

    /// What is not consumed.
    pub(crate) fn unread(&self) -> &[u8] {
        self.all().get(self.begin..self.end).unwrap_or_default()
    }

    pub(crate) fn consume(&mut self, octets: usize) {
        self.begin = self.end.min(self.begin + octets);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.begin == self.end
    }

    /// Whether nothing more can be read before something is consumed.
    pub(crate) fn is_full(&self) -> bool {
        self.begin == 0 && self.end == OCTETS
    }

    /// Takes as many of these octets as there is room for, and says how many.
    pub(crate) fn take(&mut self, octets: &[u8]) -> usize {
        self.move_to_front();
        let end = self.end;
        let Some(free) = self.all_mut().get_mut(end..) else { return 0 };
        let taken = free.len().min(octets.len());
        if let (Some(free), Some(octets)) = (free.get_mut(..taken), octets.get(..taken)) {
            free.copy_from_slice(octets);
        }
        self.end += taken;
        taken
    }

    /// Lets `readinto` fill the rest of the room, and says how many octets it brought.
    pub(crate) fn read(&mut self, py: Python<'_>, readinto: &Bound<'_, PyAny>) -> PyResult<usize> {
        self.move_to_front();
        let brought = if self.end == 0 {
            readinto.call1((&self.octets,))
        } else {
            let view = PyMemoryView::from(self.octets.bind(py))?;
            readinto.call1((view.get_item(PySlice::new(py, self.end.try_into()?, isize::MAX, 1))?,))
        };
        self.make_ours(py)?;
        // A stream that does not wait has brought nothing, and says None.
        let brought = brought?.extract::<Option<usize>>()?.unwrap_or_default();
        if brought > OCTETS - self.end {
            return Err(PyOSError::new_err("readinto() returned invalid length"));
        }
        self.end += brought;
        Ok(brought)
    }

    /// Has `fill` put octets into the room and `write` take them from there, until there are no more. Errors of Python are
    /// those of I/O with the exception within.
    pub(crate) fn pass_on(
        &mut self,
        mut fill: impl FnMut(&mut [u8]) -> io::Result<usize>,
        write: &Py<PyAny>,
    ) -> io::Result<u64> {
        let mut all = 0_u64;
        loop {
            // A call of Python's costs as much as to read some kilobytes.
            let mut octets = 0;
            let ended = loop {
                let came = fill(self.all_mut().get_mut(octets..).unwrap_or_default())?;
                octets = OCTETS.min(octets + came);
                if came == 0 || octets > OCTETS - WORTH_FILLING {
                    break came == 0;
                }
            };
            if octets > 0 {
                Python::attach(|py| self.hand_to(py, write, octets)).map_err(io::Error::other)?;
                all = all.saturating_add(u64::try_from(octets).unwrap_or(u64::MAX));
            }
            if ended {
                return Ok(all);
            }
        }
    }

    /// Has `write` take the first octets, again and again if it takes a part.
    fn hand_to(&mut self, py: Python<'_>, write: &Py<PyAny>, octets: usize) -> PyResult<()> {
        let mut written = 0;
        while written < octets {
            let view = PyMemoryView::from(self.octets.bind(py))?;
            let part = view.get_item(PySlice::new(py, written.try_into()?, octets.try_into()?, 1))?;
            let took = write.call1(py, (&part,));
            drop((part, view));
            self.make_ours(py)?;
            // Raw files say how many octets they took; others may say what they like, but that it was none.
            let took = took?.extract::<usize>(py).unwrap_or(octets - written);
            if took == 0 {
                return Err(PyOSError::new_err("write() took none of the message's octets"));
            }
            written = octets.min(written.saturating_add(took));
        }
        Ok(())
    }

    /// If somebody has kept the bytearray he may have it, and what is in it is copied into another.
    fn make_ours(&mut self, py: Python<'_>) -> PyResult<()> {
        if self.is_ours(py) {
            return Ok(());
        }
        let copy = PyByteArray::new(py, &self.octets.bind(py).to_vec());
        if copy.len() != OCTETS {
            return Err(PyOSError::new_err("a stream changed the size of its buffer"));
        }
        (self.data, self.octets) = (copy.data(), copy.unbind());
        Ok(())
    }

    /// Whether nobody else has a reference to it.
    fn is_ours(&self, py: Python<'_>) -> bool {
        // SAFETY: it only reads the count of an object that is alive.
        unsafe { pyo3::ffi::Py_REFCNT(self.octets.bind(py).as_ptr()) == 1 }
    }

    fn move_to_front(&mut self) {
        if self.begin == 0 {
            return;
        }
        let unread = self.begin..self.end;
        self.end -= self.begin;
        self.begin = 0;
        if !unread.is_empty() {
            self.all_mut().copy_within(unread, 0);
        }
    }

    fn all(&self) -> &[u8] {
        // SAFETY: nobody else has a reference to the bytearray, so that nobody writes or resizes while `self` is borrowed,
        // even if the interpreter is left to other threads.
        unsafe { slice::from_raw_parts(self.data, OCTETS) }
    }

    fn all_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { slice::from_raw_parts_mut(self.data, OCTETS) }
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
