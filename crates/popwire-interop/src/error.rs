//! One error for a crate whose callers can only fail their test.

use std::{fmt, io, path::Path};

/// What went wrong, as a sentence.
///
/// `Debug` prints the sentence too, with its line breaks, so that an `unwrap` in a test shows it legibly.
#[derive(Clone)]
pub struct Error(String);

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(what: impl Into<String>) -> Error {
        Error(what.into())
    }

    /// "`doing` `path`: reason".
    pub(crate) fn io<'a>(doing: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
        move |reason| Error(format!("{doing} {}: {reason}", path.display()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
