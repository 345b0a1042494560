//! What tidies up after a server, even where the test cannot.

use std::{
    ffi::OsStr,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::{Error, Result};

/// A shell that waits for its input to end, then stops the server and removes its folder. The kernel ends that input
/// when this process does, so that a test that is killed, or a server in a `static`, leaves nothing behind either.
#[derive(Debug)]
pub(crate) struct Guard {
    shell: Child,
}

impl Guard {
    /// Has `script` stop what it started in `folder/server`, and removes `folder`, when the time has come.
    pub(crate) fn set(script: &Path, folder: &Path) -> Result<Guard> {
        let tidy = r#"read -r _; "$1" stop "$2/server"; rm -rf "$2""#;
        let arguments: [&OsStr; 5] =
            ["-c".as_ref(), tidy.as_ref(), "guard".as_ref(), script.as_ref(), folder.as_ref()];
        let shell = Command::new("bash")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C at the terminal is for the test, not for what tidies up after it.
            .process_group(0)
            .spawn()
            .map_err(Error::io("cannot start", Path::new("bash")))?;
        Ok(Guard { shell })
    }

    /// The time has come.
    pub(crate) fn release(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.release();
    }
}
