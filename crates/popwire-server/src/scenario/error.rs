//! What is wrong with a scenario.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;

use crate::quirks::nearest;

/// Why a scenario cannot be used: where, what, and, for a slip of the pen, what was probably meant.
#[derive(Debug)]
pub struct ScenarioError {
    path: Option<PathBuf>,
    /// Line and column, counted from 1, in characters.
    position: Option<(usize, usize)>,
    what: String,
    suggestion: Option<String>,
    source: Option<io::Error>,
}

impl ScenarioError {
    /// The number of the line, counted from 1; `None` if the file could not be read.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.position.map(|(line, _)| line)
    }

    /// The number of the character in its line, counted from 1.
    #[must_use]
    pub fn column(&self) -> Option<usize> {
        self.position.map(|(_, column)| column)
    }

    /// The key or the word that was probably meant.
    #[must_use]
    pub fn suggestion(&self) -> Option<&str> {
        self.suggestion.as_deref()
    }

    pub(super) fn unreadable(path: &Path, source: io::Error) -> Self {
        Self {
            path: Some(path.to_owned()),
            position: None,
            what: "the scenario cannot be read".to_owned(),
            suggestion: None,
            source: Some(source),
        }
    }

    pub(super) fn from_toml(error: &toml::de::Error, text: &str) -> Self {
        let what = error.message().trim().to_owned();
        Self {
            path: None,
            position: error.span().map(|span| position(text, span.start)),
            suggestion: suggestion(&what),
            what,
            source: None,
        }
    }

    pub(super) fn in_file(mut self, path: &Path) -> Self {
        self.path = Some(path.to_owned());
        self
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}: ", path.display())?;
        }
        if let Some((line, column)) = self.position {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.what)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; did you mean `{suggestion}`?"),
            None => Ok(()),
        }
    }
}

impl Error for ScenarioError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

/// A value that makes no sense, and where it is.
#[derive(Debug)]
pub(super) struct Wrong {
    span: Range<usize>,
    what: String,
    source: Option<io::Error>,
}

impl Wrong {
    pub(super) fn new<T>(value: &Spanned<T>, what: impl fmt::Display) -> Self {
        Self { span: value.span(), what: what.to_string(), source: None }
    }

    pub(super) fn unreadable<T>(value: &Spanned<T>, path: &Path, source: io::Error) -> Self {
        let what = format!("{} cannot be read", path.display());
        Self { source: Some(source), ..Self::new(value, what) }
    }

    pub(super) fn at(self, text: &str) -> ScenarioError {
        ScenarioError {
            path: None,
            position: Some(position(text, self.span.start)),
            what: self.what,
            suggestion: None,
            source: self.source,
        }
    }
}

/// Line and column of the octet at this place.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rfind('\n').map_or(before, |end| before.get(end + 1..).unwrap_or_default());
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// The word that was meant, from what serde says: ``unknown field `x`, expected one of `y`, `z` ``.
fn suggestion(what: &str) -> Option<String> {
    what.strip_prefix("unknown field").or_else(|| what.strip_prefix("unknown variant"))?;
    let words = || what.split('`').skip(1).step_by(2);
    nearest(words().next()?, words().skip(1)).map(str::to_owned)
}
