//! Where the password comes from. Never from the command line, which every user of the machine can read.

use std::env;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use popwire::Secret;

use crate::explain::Problem;
use crate::output::Output;

/// What is looked at if nothing else is said.
pub(crate) const VARIABLE: &str = "POPWIRE_PASSWORD";

/// A password is short; a file this long without a line end is not one.
const LONGEST: u64 = 64 * 1024;

const UNTOUCHED: &str = "Nothing was sent.";

/// Where to look for the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Variable(OsString),
    File(PathBuf),
    Command(OsString),
    /// The desktop's keyring (Secret Service), under this account.
    Keyring(String),
    /// The environment, or the terminal.
    Unsaid,
}

impl Source {
    /// Whether there is a password in the environment where it is looked for if nothing is said.
    pub(crate) fn is_in_environment() -> bool {
        env::var_os(VARIABLE).is_some()
    }

    /// Gets the password of this account.
    pub(crate) fn password(&self, account: &str, output: &mut Output) -> Result<Secret, Problem> {
        let (octets, place) = match self {
            Self::Variable(name) => (variable(name)?, format!("the variable {}", name.display())),
            Self::File(path) => (file(path, output)?, path.display().to_string()),
            Self::Command(line) => {
                (printed_by("password", line, None)?, "what the password command printed".to_owned())
            }
            Self::Keyring(name) => (keyring(name)?, "the keyring".to_owned()),
            Self::Unsaid if Self::is_in_environment() => {
                (variable(VARIABLE.as_ref())?, format!("the variable {VARIABLE}"))
            }
            Self::Unsaid => (prompt(account)?, "what was typed".to_owned()),
        };
        let secret = Secret::from(octets);
        if secret.is_empty() {
            let what = format!("there is no password in {place}");
            return Err(Problem::configuration(what, format!("{UNTOUCHED} Its first line is the password.")));
        }
        Ok(secret)
    }
}

fn variable(name: &std::ffi::OsStr) -> Result<Vec<u8>, Problem> {
    env::var_os(name).map(OsString::into_vec).ok_or_else(|| {
        let what = format!("the environment variable {} is not set", name.display());
        Problem::configuration(what, format!("{UNTOUCHED} It should hold the password."))
    })
}

fn file(path: &Path, output: &mut Output) -> Result<Vec<u8>, Problem> {
    let failed = |error: io::Error| {
        let what = format!("the password file {} cannot be read: {error}", path.display());
        Problem::configuration(what, format!("{UNTOUCHED} Check the path and the permissions."))
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        let path = path.display();
        output.warn(&format!("others on this machine may read the password in {path}; chmod 600 {path}"));
    }
    first_line(file).map_err(failed)
}

/// What the keyring has for this account, by the program that comes with it.
fn keyring(account: &str) -> Result<Vec<u8>, Problem> {
    const TOOL: &str = "secret-tool";
    let quoted = format!("'{}'", account.replace('\'', r"'\''"));
    let failed = |what: String, next: &str| Problem::configuration(what, format!("{UNTOUCHED} {next}"));
    let lookup = Command::new(TOOL).args(["lookup", "service", "popwire", "account", account]).output();
    let found = lookup.map_err(|error| {
        let what = format!("the keyring cannot be asked: {TOOL}: {error}");
        failed(what, "On Debian and Ubuntu it is in the package libsecret-tools.")
    })?;
    let said = popwire::Text::from(found.stderr.trim_ascii()).to_string();
    match (found.status.success(), said.as_str()) {
        (true, _) => first_line(found.stdout.as_slice())
            .map_err(|error| failed(format!("the keyring's password cannot be read: {error}"), "")),
        (false, "") => Err(failed(
            format!("the keyring has no password for {account}, or is locked"),
            &format!("Store it: {TOOL} store --label popwire service popwire account {quoted}"),
        )),
        (false, said) => Err(failed(
            format!("the keyring cannot be asked: {said}"),
            "It belongs to a desktop session. Without one take a file or a command: docs/config.md",
        )),
    }
}

/// The first line that a shell command prints. `what` says what it is; `variable` is added to its environment.
pub(crate) fn printed_by(
    what: &str,
    line: &OsString,
    variable: Option<(&str, String)>,
) -> Result<Vec<u8>, Problem> {
    // The command is not repeated: some people write the password into it.
    let failed = |why: String| {
        Problem::configuration(
            format!("the {what} command failed: {why}"),
            format!("{UNTOUCHED} Try it by itself, with sh -c."),
        )
    };
    // It may ask something itself, so it keeps the terminal and stderr.
    let mut child = Command::new("/bin/sh")
        .arg("-c")
        .arg(line)
        // A NUL cannot be in an environment.
        .envs(variable.map(|(name, value)| (name, value.replace('\0', ""))))
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let password = match child.stdout.take() {
        Some(mut stdout) => {
            let password = first_line(&mut stdout);
            // What comes after the first line is let go; a command that cannot write it would fail for nothing.
            let _ = io::copy(&mut stdout, &mut io::sink());
            password
        }
        None => Ok(Vec::new()),
    };
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(status.to_string()));
    }
    password.map_err(|error| failed(error.to_string()))
}

fn prompt(account: &str) -> Result<Vec<u8>, Problem> {
    if OpenOptions::new().read(true).write(true).open("/dev/tty").is_err() {
        return Err(Problem::configuration(
            format!("there is no password for {account}, and no terminal to ask for it"),
            format!(
                "{UNTOUCHED} Set {VARIABLE}, or use --password-env VAR, --password-file FILE or --password-command CMD."
            ),
        ));
    }
    rpassword::prompt_password(format!("Password for {account}: ")).map(String::into_bytes).map_err(|error| {
        Problem::configuration(format!("the password could not be read: {error}"), UNTOUCHED)
    })
}

/// The first line, without its line end.
fn first_line(source: impl io::Read) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::with_capacity(1, source.take(LONGEST)).read_until(b'\n', &mut line)?;
    if u64::try_from(line.len()).unwrap_or(u64::MAX) >= LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its first line is too long"));
    }
    if line.ends_with(b"\n") {
        line.pop();
        if line.ends_with(b"\r") {
            line.pop();
        }
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_ends_at_the_line_end_and_nowhere_else() {
        let of = |text: &str| String::from_utf8(first_line(text.as_bytes()).unwrap()).unwrap();
        assert_eq!(of("pass word \nmore"), "pass word ");
        assert_eq!(of("pass\r\n"), "pass");
        assert_eq!(of("pass"), "pass");
        assert_eq!(of("pass\r"), "pass\r");
        assert_eq!(of(""), "");
    }
}
