//! What is fetched, and what is left on the server.

use std::time::Duration;

/// How long a message stays on the server after it was delivered.
///
/// ```
/// use popwire_retriever::Keep;
/// let forever = Keep::forever();
/// let two_weeks = Keep::nothing().days(14);
/// // The newest hundred stay, whatever their age, and the others for two weeks; but nothing large.
/// let careful = Keep::nothing().days(14).newest(100).but_nothing_over(10_000_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    forever: bool,
    days: u32,
    newest: u64,
    over: Option<u64>,
}

impl Keep {
    /// Nothing is deleted.
    #[must_use]
    pub const fn forever() -> Self {
        Self { forever: true, days: 0, newest: 0, over: None }
    }

    /// Each message is deleted as soon as it is delivered.
    #[must_use]
    pub const fn nothing() -> Self {
        Self { forever: false, days: 0, newest: 0, over: None }
    }

    /// Messages stay for so many days after popwire saw them first: a message's own date is its sender's.
    #[must_use]
    pub const fn days(self, days: u32) -> Self {
        Self { forever: false, days, ..self }
    }

    /// So many messages stay in any case: those with the highest numbers, which came last.
    #[must_use]
    pub const fn newest(self, messages: u64) -> Self {
        Self { forever: false, newest: messages, ..self }
    }

    /// Messages with more octets than this, by the server's count, are deleted as soon as they are delivered, whatever else
    /// is said.
    #[must_use]
    pub const fn but_nothing_over(self, octets: u64) -> Self {
        Self { over: Some(octets), ..self }
    }

    /// Whether nothing is ever deleted.
    #[must_use]
    pub const fn is_forever(&self) -> bool {
        self.forever && self.over.is_none()
    }

    /// Whether everything is deleted at once, so that no message needs to be known again.
    #[must_use]
    pub(crate) const fn is_nothing(&self) -> bool {
        !self.forever && self.days == 0 && self.newest == 0
    }

    /// Whether a message that was delivered is to be deleted now.
    pub(crate) fn is_over_for(&self, age: Duration, newer: u64, octets: Option<u64>) -> bool {
        const DAY: u64 = 24 * 60 * 60;
        // A message whose size the server does not say is not known to be that large.
        let too_large = self.over.zip(octets).is_some_and(|(over, octets)| octets > over);
        too_large || (!self.forever && age.as_secs() >= u64::from(self.days) * DAY && newer >= self.newest)
    }
}

impl Default for Keep {
    fn default() -> Self {
        Self::forever()
    }
}

/// Messages of one kind, and what is to become of them. Of several rules the first that fits decides; a message that none
/// fits is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rule {
    /// Which messages.
    pub test: Test,
    /// What becomes of them.
    pub then: Then,
}

impl Rule {
    /// A rule.
    #[must_use]
    pub fn new(test: Test, then: Then) -> Self {
        Self { test, then }
    }
}

/// What a message is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Test {
    /// It has more octets than this, by the server's count.
    Larger(u64),
    /// It has fewer octets than this, by the server's count.
    Smaller(u64),
    /// It has a header field of this name whose value is this text; letters count the same in both cases. The server is
    /// asked for the header by TOP; where it does not know TOP, the message is fetched.
    HeaderIs {
        /// The field's name.
        name: String,
        /// Its value.
        value: String,
    },
    /// It has a header field of this name that contains this text. As [`HeaderIs`](Self::HeaderIs) otherwise.
    HeaderContains {
        /// The field's name.
        name: String,
        /// A part of its value.
        value: String,
    },
}

/// What becomes of a message that a rule fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Then {
    /// It is fetched, whatever later rules say.
    Fetch,
    /// It stays on the server and is not fetched.
    Skip,
    /// Its header is fetched and delivered, and its body is not. The message stays on the server, whatever is not kept there.
    HeaderOnly,
    /// It is deleted on the server without being fetched.
    Delete,
}

/// What the rules say of a message, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Then(Then),
    /// The header has to be looked at.
    AskHeader,
}

pub(crate) fn judge(rules: &[Rule], octets: Option<u64>, header: Option<&[u8]>) -> Verdict {
    for rule in rules {
        let fits = match &rule.test {
            Test::Larger(than) => octets.is_some_and(|octets| octets > *than),
            Test::Smaller(than) => octets.is_some_and(|octets| octets < *than),
            Test::HeaderIs { name, value } => {
                let Some(header) = header else { return Verdict::AskHeader };
                fields(header, name).any(|field| field.eq_ignore_ascii_case(value))
            }
            Test::HeaderContains { name, value } => {
                let Some(header) = header else { return Verdict::AskHeader };
                let value = value.to_lowercase();
                fields(header, name).any(|field| field.to_lowercase().contains(&value))
            }
        };
        if fits {
            return Verdict::Then(rule.then);
        }
    }
    Verdict::Then(Then::Fetch)
}

/// The values of the fields of this name: unfolded, and with encoded words decoded (RFC 2047).
fn fields<'a>(header: &'a [u8], name: &'a str) -> impl Iterator<Item = String> + 'a {
    let lines = String::from_utf8_lossy(header);
    let mut fields: Vec<String> = Vec::new();
    for line in lines.lines() {
        match fields.last_mut() {
            Some(field) if line.starts_with([' ', '\t']) => {
                field.push(' ');
                field.push_str(line.trim());
            }
            _ if line.is_empty() => break,
            _ => fields.push(line.to_owned()),
        }
    }
    fields.into_iter().filter_map(move |field| {
        let (found, value) = field.split_once(':')?;
        found.trim_end().eq_ignore_ascii_case(name).then(|| decoded(value.trim()))
    })
}

fn decoded(value: &str) -> String {
    let field = format!("Subject: {value}\r\n\r\n");
    let message = mail_parser::MessageParser::new().parse_headers(field.as_bytes());
    message.as_ref().and_then(|message| message.subject()).map_or_else(|| value.to_owned(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[test]
    fn a_message_goes_when_it_has_been_there_long_enough_or_is_too_large() {
        let keep = Keep::nothing().days(14).newest(10).but_nothing_over(1000);
        for (age, newer, octets) in [(14 * DAY, 10, Some(1000)), (14 * DAY, 10, None), (DAY, 0, Some(1001))] {
            assert!(keep.is_over_for(age, newer, octets));
        }
        for (age, newer, octets) in [(13 * DAY, 10, Some(1000)), (14 * DAY, 9, None)] {
            assert!(!keep.is_over_for(age, newer, octets));
        }
        assert!(Keep::nothing().is_over_for(Duration::ZERO, 0, None));
        assert!(!Keep::forever().is_over_for(1000 * DAY, 1000, Some(u64::MAX)));
        assert!(Keep::forever().but_nothing_over(5).is_over_for(Duration::ZERO, 0, Some(6)));
        assert!(Keep::nothing().is_nothing() && !Keep::nothing().days(1).is_nothing());
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let is = |name: &str, value: &str| Test::HeaderIs { name: name.into(), value: value.into() };
        let contains = Test::HeaderContains { name: "subject".into(), value: "grüße".into() };
        let rules = [
            Rule::new(Test::Larger(1000), Then::Skip),
            Rule::new(is("X-Spam-Flag", "yes"), Then::Delete),
            Rule::new(contains, Then::HeaderOnly),
        ];
        let verdict = |octets, header: Option<&str>| judge(&rules, octets, header.map(str::as_bytes));
        assert_eq!(verdict(Some(1001), None), Verdict::Then(Then::Skip));
        assert_eq!(verdict(Some(1000), None), Verdict::AskHeader);
        for (header, then) in [
            ("x-spam-flag : YES\r\n", Then::Delete),
            ("X-Spam-Flag: NO\r\nx-spam-flag: yes\r\n", Then::Delete),
            ("X-Spam-Flag: yes, very\r\n", Then::Fetch),
            ("Subject: Viele\r\n =?utf-8?q?Gr=C3=BC=C3=9Fe?= an alle\r\n", Then::HeaderOnly),
            ("Subject: a\r\n\r\nX-Spam-Flag: YES\r\n", Then::Fetch),
            ("", Then::Fetch),
        ] {
            assert_eq!(verdict(None, Some(header)), Verdict::Then(then), "{header}");
        }
    }
}
