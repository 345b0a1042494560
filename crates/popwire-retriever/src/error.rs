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
    /// The destination did not take this message: a program's exit code, a mail server's reply.
    Refused {
        /// The destination's name.
        destination: String,
        /// What it said.
        said: String,
        /// Whether it will say so again, as far as it tells.
        permanent: bool,
    },
    /// The destination cannot be reached, does not answer, or takes no mail at all at the moment.
    Unavailable {
        /// The destination's name.
        destination: String,
        /// What was being done: "connecting to", "starting".
        doing: &'static str,
        /// Why it failed.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl DeliveryError {
    /// The file or folder it is about, if it is about one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            DeliveryError::NotAMaildir { path, .. }
            | DeliveryError::DiskFull { path, .. }
            | DeliveryError::Permission { path, .. }
            | DeliveryError::Io { path, .. }
            | DeliveryError::Spoiled { path } => Some(path),
            DeliveryError::Refused { .. } | DeliveryError::Unavailable { .. } => None,
        }
    }

    /// Whether it is about this message, and others may fare better at the same destination.
    #[must_use]
    pub fn is_about_one_message(&self) -> bool {
        match self {
            DeliveryError::Spoiled { .. } | DeliveryError::Refused { .. } => true,
            // Too large for the file system, or its file in tmp/ cleaned away under us. If it was the folder that has
            // gone, the next message cannot even begin.
            DeliveryError::Io { doing, source, .. } => {
                *doing != "creating"
                    && matches!(
                        source.kind(),
                        ErrorKind::FileTooLarge | ErrorKind::NotFound | ErrorKind::AlreadyExists
                    )
            }
            _ => false,
        }
    }

    /// The delivery error that an error of [`Write`](std::io::Write) holds; `None` where the error is another's, as when
    /// `io::copy` could not read its source.
    #[must_use]
    pub fn within(error: &io::Error) -> Option<&DeliveryError> {
        error.get_ref()?.downcast_ref()
    }

    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> DeliveryError {
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

    pub(crate) fn not_a_maildir(path: &Path, found: impl Into<String>) -> DeliveryError {
        DeliveryError::NotAMaildir { path: path.to_path_buf(), found: found.into() }
    }
}

/// The system's error is the [`source`](Error::source), and not repeated here.
impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeliveryError::NotAMaildir { path, found } => {
                write!(f, "{} is not a Maildir: {found}", path.display())
            }
            DeliveryError::DiskFull { doing, path, .. } => {
                write!(f, "disk full while {doing} {}", path.display())
            }
            DeliveryError::Permission { doing, path, .. } => {
                write!(f, "not permitted: {doing} {}", path.display())
            }
            DeliveryError::Io { doing, path, .. } => write!(f, "{doing} {} failed", path.display()),
            DeliveryError::Spoiled { path } => write!(f, "an earlier write to {} failed", path.display()),
            DeliveryError::Refused { destination, said, .. } => {
                write!(f, "{destination} refused the message: {said}")
            }
            DeliveryError::Unavailable { destination, doing, .. } => {
                write!(f, "{doing} {destination} failed")
            }
        }
    }
}

impl Error for DeliveryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            DeliveryError::DiskFull { source, .. }
            | DeliveryError::Permission { source, .. }
            | DeliveryError::Io { source, .. } => Some(source),
            DeliveryError::Unavailable { source, .. } => Some(&**source),
            DeliveryError::NotAMaildir { .. }
            | DeliveryError::Spoiled { .. }
            | DeliveryError::Refused { .. } => None,
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
            _ => ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

impl From<FolderError> for DeliveryError {
    fn from(FolderError { doing, path, source }: FolderError) -> DeliveryError {
        DeliveryError::io(doing, path, source)
    }
}
