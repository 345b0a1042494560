//! Personalities: whole servers as they were met, each a greeting, lists of capabilities, texts, and quirks by name.
//!
//! `products.rs` has the table. A personality sets nothing that a caller could not set: what comes after it on the
//! [`Builder`](crate::Builder) changes it further.

mod products;

use std::error::Error;
use std::fmt;

use crate::Builder;
use crate::options::DictatedCapabilities;
use crate::quirks::nearest;

/// A server as it was met somewhere.
///
/// ```
/// use popwire_server::{Maildrop, Personality, Server};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// for personality in Personality::all() {
///     println!("{}: {}", personality.name(), personality.about());
/// }
/// let server = Server::builder()
///     .user("alice", "secret", Maildrop::memory(["Subject: hi\r\n\r\nhello\r\n"]))
///     .personality("gmail")?
///     .quirk("window=100")?
///     .start()?;
/// # drop(server);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Personality {
    name: &'static str,
    about: &'static str,
    deviations: &'static [u16],
    /// Without line end. Empty: the server's own.
    greeting: &'static str,
    /// What CAPA says before and after login. `STLS` is said while it makes sense.
    capabilities: Option<[&'static [&'static str]; 2]>,
    /// What stands behind `+OK` in the answer to a command, by its keyword: only where the text is for people.
    /// `{count}`, `{octets}` and `{argument}` are replaced.
    answers: &'static [(&'static str, &'static str)],
    /// What stands behind `-ERR`, by the words that the server uses by itself.
    refusals: &'static [(&'static str, &'static str)],
    quirks: &'static [&'static str],
}

impl Personality {
    /// All of them, by name.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        products::ALL.iter()
    }

    /// The name that [`Builder::personality`](crate::Builder::personality) takes.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Which server it is, and what is peculiar to it.
    #[must_use]
    pub fn about(&self) -> &'static str {
        self.about
    }

    /// The numbers of the deviations that it shows, beside those of its quirks: 80 for Q-080.
    #[must_use]
    pub fn deviations(&self) -> &'static [u16] {
        self.deviations
    }

    /// The quirks that it has, as [`Builder::quirk`](crate::Builder::quirk) takes them.
    #[must_use]
    pub fn quirks(&self) -> &'static [&'static str] {
        self.quirks
    }
}

/// Texts in place of the server's own.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Texts {
    answers: &'static [(&'static str, &'static str)],
    refusals: &'static [(&'static str, &'static str)],
}

impl Texts {
    /// What to say behind `+OK` to this command.
    pub(crate) fn answer(&self, keyword: &str) -> Option<&'static str> {
        self.answers.iter().find(|(known, _)| *known == keyword).map(|(_, text)| *text)
    }

    /// What to say behind `-ERR` in place of these words.
    pub(crate) fn refusal(&self, words: &str) -> Option<&'static str> {
        self.refusals.iter().find(|(known, _)| *known == words).map(|(_, text)| *text)
    }
}

impl Builder {
    /// Makes the server behave like one that was met somewhere: see [`Personality::all`].
    ///
    /// # Errors
    ///
    /// [`PersonalityError`], if there is none of that name.
    pub fn personality(mut self, name: &str) -> Result<Self, PersonalityError> {
        let Some(personality) = Personality::all().find(|known| known.name.eq_ignore_ascii_case(name)) else {
            let nearest = nearest(name, Personality::all().map(Personality::name));
            return Err(PersonalityError { name: name.to_owned(), nearest });
        };
        if !personality.greeting.is_empty() {
            self = self.greeting(format!("{}\r\n", personality.greeting));
        }
        if let Some(lists) = personality.capabilities {
            let [before_login, after_login] = lists.map(|lines| {
                lines.iter().filter(|line| **line != "STLS").map(|line| line.as_bytes().to_vec()).collect()
            });
            let stls = lists.iter().any(|lines| lines.contains(&"STLS"));
            self.options.capabilities.dictated =
                Some(DictatedCapabilities { before_login, after_login, stls });
            self.options.tls.stls = stls;
            // What is announced works.
            let sasl =
                lists.iter().flat_map(|lines| lines.iter()).find_map(|line| line.strip_prefix("SASL "));
            self = self.sasl(sasl.unwrap_or_default().split(' ').filter_map(|name| name.parse().ok()));
        }
        self.options.texts = Texts { answers: personality.answers, refusals: personality.refusals };
        for quirk in personality.quirks {
            self =
                self.quirk(quirk).map_err(|_| PersonalityError { name: name.to_owned(), nearest: None })?;
        }
        Ok(self)
    }
}

/// A name that no personality has.
#[derive(Clone, Debug)]
pub struct PersonalityError {
    name: String,
    nearest: Option<&'static str>,
}

impl fmt::Display for PersonalityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\": there is no such personality", self.name.escape_debug())?;
        self.nearest.map_or(Ok(()), |nearest| write!(f, "; did you mean {nearest}?"))
    }
}

impl Error for PersonalityError {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_personality_can_be_put_on() {
        for personality in Personality::all() {
            assert!(Builder::default().personality(personality.name()).is_ok(), "{personality:?}");
            assert!(!personality.about().is_empty());
        }
        let names: Vec<_> = Personality::all().map(Personality::name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        let error = Builder::default().personality("gmial").expect_err("refused").to_string();
        assert!(error.contains("gmail"), "{error}");
    }
}
