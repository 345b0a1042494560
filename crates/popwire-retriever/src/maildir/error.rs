//! Why a message could not be delivered.

use std::{
    error::Error,
    fmt,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use crate::folder::FolderError;

/// Why a message was not delivered. Whatever it is, the message must stay where it came from.
#[derive(Debug)]
#[non_exhaustive]
pub enum DeliveryError {
    /// The destination is not a Maildir, and not an empty folder that could become one.
    NotAMaildir {
        /// The destination.
        path: PathBuf,
        /// What is there instead.
        found: String,
    },
    /// The disk is full, or the quota used up. Every further message will fail too.
    DiskFull {
        /// What was being done: "writing", "flushing to disk".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The system does not allow it, or the file system is read-only.
    Permission {
        /// What was being done.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Anything else that the system reported.
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// An earlier write of this message failed, so that it cannot become whole.
    Spoiled {
        /// The file in `tmp/`.
        path: PathBuf,
    },
}

impl DeliveryError {
    /// The file or folder it is about.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            DeliveryError::NotAMaildir { path, .. }
            | DeliveryError::DiskFull { path, .. }
            | DeliveryError::Permission { path, .. }
            | DeliveryError::Io { path, .. }
            | DeliveryError::Spoiled { path } => path,
        }
    }

    /// The delivery error that an error of [`Write`](std::io::Write) holds; `None` where the error is another's, as when
    /// `io::copy` could not read its source.
    #[must_use]
    pub fn within(error: &io::Error) -> Option<&DeliveryError> {
        error.get_ref()?.downcast_ref()
    }

    pub(super) fn io(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> DeliveryError {
        let path = path.into();
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                DeliveryError::DiskFull { doing, path, source }
            }
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                DeliveryError::Permission { doing, path, source }
            }
            _ => DeliveryError::Io { doing, path, source },
        }
    }

    pub(super) fn not_a_maildir(path: &Path, found: impl Into<String>) -> DeliveryError {
        DeliveryError::NotAMaildir { path: path.to_path_buf(), found: found.into() }
    }
}

/// The system's error is the [`source`](Error::source), and not repeated here.
impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path().display();
        match self {
            DeliveryError::NotAMaildir { found, .. } => write!(f, "{path} is not a Maildir: {found}"),
            DeliveryError::DiskFull { doing, .. } => write!(f, "disk full while {doing} {path}"),
            DeliveryError::Permission { doing, .. } => write!(f, "not permitted: {doing} {path}"),
            DeliveryError::Io { doing, .. } => write!(f, "{doing} {path} failed"),
            DeliveryError::Spoiled { .. } => write!(f, "an earlier write to {path} failed"),
        }
    }
}

impl Error for DeliveryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            DeliveryError::DiskFull { source, .. }
            | DeliveryError::Permission { source, .. }
            | DeliveryError::Io { source, .. } => Some(source),
            DeliveryError::NotAMaildir { .. } | DeliveryError::Spoiled { .. } => None,
        }
    }
}

impl From<DeliveryError> for io::Error {
    fn from(error: DeliveryError) -> io::Error {
        let kind = match &error {
            DeliveryError::DiskFull { source, .. }
            | DeliveryError::Permission { source, .. }
            | DeliveryError::Io { source, .. } => source.kind(),
            DeliveryError::NotAMaildir { .. } => ErrorKind::NotADirectory,
            DeliveryError::Spoiled { .. } => ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

impl From<FolderError> for DeliveryError {
    fn from(FolderError { doing, path, source }: FolderError) -> DeliveryError {
        DeliveryError::io(doing, path, source)
    }
}
