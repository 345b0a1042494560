//! Folders that are on the disk once they are made.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// What could not be done, and to which folder.
#[derive(Debug)]
pub(crate) struct FolderError {
    pub(crate) doing: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

/// Creates `folder` and those above it where they are missing, for their owner only (0700), each flushed to the disk with
/// the entry in its parent.
pub(crate) fn make(folder: &Path) -> Result<(), FolderError> {
    let make_one = || DirBuilder::new().mode(0o700).create(folder);
    let mut made = make_one();
    if let (Err(reason), Some(parent)) = (&made, folder.parent())
        && reason.kind() == io::ErrorKind::NotFound
    {
        make(parent)?;
        made = make_one();
    }
    match made {
        Ok(()) => sync_parent(folder, true),
        Err(reason) if reason.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(FolderError { doing: "creating", path: folder.into(), source }),
    }
}

/// Flushes the folder above. One that we made nothing in need not be readable for us: `/home` often is not.
pub(crate) fn sync_parent(folder: &Path, made: bool) -> Result<(), FolderError> {
    let Some(parent) = folder.parent() else { return Ok(()) };
    match sync(parent) {
        Err(error) if !made && error.source.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        done => done,
    }
}

/// Flushes the entries of a folder.
pub(crate) fn sync(folder: &Path) -> Result<(), FolderError> {
    let flush = |file: File| file.sync_all();
    flush(open(folder)?).map_err(|source| FolderError {
        doing: "flushing to disk",
        path: folder.into(),
        source,
    })
}

pub(crate) fn open(folder: &Path) -> Result<File, FolderError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::open(folder, flags, Mode::empty()) {
        Ok(open) => Ok(open.into()),
        Err(reason) => Err(FolderError { doing: "opening", path: folder.into(), source: reason.into() }),
    }
}
