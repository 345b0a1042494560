//! Scenarios: files that describe a server.

mod build;
mod error;
mod file;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

pub use self::error::ScenarioError;
use crate::Builder;

/// The largest scenario, in octets. Messages of any size have files of their own.
const MOST: u64 = 4 << 20;

/// A server as a file in TOML describes it: its users and their mail, and all the ways in which it departs from the RFCs
/// or fails. The keys are in `docs/scenario.md`.
///
/// ```
/// use popwire_server::Scenario;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let scenario = Scenario::from_toml(
///     r#"
///     faults = ["RETR#3@1000:reset"]
///
///     [[user]]
///     name = "alice"
///     password = "secret"
///     messages = [{ text = "Subject: hi\r\n\r\nhello\r\n" }, { size = 5_000_000 }]
///     "#,
/// )?;
/// let server = scenario.builder().start()?;
/// # drop(server);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Scenario {
    builder: Builder,
}

impl Scenario {
    /// Reads the text of a scenario. The files that it names are found from the current directory; messages are read at
    /// once.
    ///
    /// # Errors
    ///
    /// [`ScenarioError`], for what is no TOML, for keys that do not exist, and for values that make no sense.
    pub fn from_toml(text: &str) -> Result<Self, ScenarioError> {
        Self::read(text, Path::new(""))
    }

    /// Reads a scenario's file. The files that it names are found from the file's directory; messages are read at once.
    ///
    /// # Errors
    ///
    /// As [`Scenario::from_toml`], or if the file cannot be read or is larger than 4 MiB.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ScenarioError> {
        let path = path.as_ref();
        let read = || -> std::io::Result<String> {
            let mut text = String::new();
            let read = File::open(path)?.take(MOST + 1).read_to_string(&mut text)?;
            if read as u64 > MOST { Err(std::io::ErrorKind::FileTooLarge.into()) } else { Ok(text) }
        };
        let text = read().map_err(|error| ScenarioError::unreadable(path, error))?;
        let directory = path.parent().unwrap_or(Path::new(""));
        Self::read(&text, directory).map_err(|error| error.in_file(path))
    }

    /// The server so described, to be changed further or started.
    pub fn builder(self) -> Builder {
        self.builder
    }

    fn read(text: &str, directory: &Path) -> Result<Self, ScenarioError> {
        let file: file::Scenario =
            toml::from_str(text).map_err(|error| ScenarioError::from_toml(&error, text))?;
        let builder = build::builder(file, directory).map_err(|wrong| wrong.at(text))?;
        Ok(Self { builder })
    }
}
