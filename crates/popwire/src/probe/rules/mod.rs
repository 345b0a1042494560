//! The table of what is looked for: one row per deviation, in the order of a session, each with one function over all that
//! was heard.

mod listing;
mod login;
mod message;
mod opening;
pub(super) mod sizes;
mod update;

use popwire_proto::Text;

use super::evidence::Seen;
use super::report::{Finding, Subject};

/// A deviation, how it is seen, and what popwire does about it.
pub(super) struct Rule {
    deviation: &'static str,
    subject: Subject,
    /// Whether the same could be seen at a server that is in order.
    hint: bool,
    /// What was seen of it; `None` if nothing was.
    seen: fn(&Seen<'_>) -> Option<String>,
    consequence: &'static str,
}

/// A table of rules, as rows: id, subject, `hint` if it is one, how it is seen, what popwire does.
macro_rules! rules {
    (@hint) => { false };
    (@hint hint) => { true };
    ($($deviation:literal $subject:ident $($hint:ident)? : $seen:path => $consequence:literal;)*) => {
        &[$($crate::probe::rules::Rule {
            deviation: $deviation,
            subject: $crate::probe::Subject::$subject,
            hint: $crate::probe::rules::rules!(@hint $($hint)?),
            seen: $seen,
            consequence: $consequence,
        }),*]
    };
}
pub(in crate::probe) use rules;

const TABLES: [&[Rule]; 6] =
    [opening::RULES, login::RULES, listing::RULES, sizes::RULES, message::RULES, update::RULES];

/// What was found.
pub(super) fn findings(seen: &Seen<'_>) -> Vec<Finding> {
    let found = |rule: &Rule| {
        let Rule { deviation, subject, hint, consequence, .. } = *rule;
        (rule.seen)(seen).map(|seen| Finding { deviation, subject, hint, seen, consequence })
    };
    TABLES.into_iter().flatten().filter_map(found).collect()
}

/// The server's words, short enough for a line and safe to show.
fn quote(words: &[u8]) -> String {
    const MOST: usize = 60;
    let text = Text::from(words).to_string();
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("\"{}...\"", text.get(..at).unwrap_or_default()),
        None => format!("\"{text}\""),
    }
}

/// Whether the words are in the text, in any letter case.
fn says(text: &[u8], words: &str) -> bool {
    let text = text.to_ascii_lowercase();
    memchr::memmem::find(&text, words.to_ascii_lowercase().as_bytes()).is_some()
}

/// `1 line`, `2 lines`.
fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_deviation_has_one_row_and_a_line_for_the_screen() {
        let ids: Vec<_> = TABLES.into_iter().flatten().map(|rule| rule.deviation).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        for rule in TABLES.into_iter().flatten() {
            let known = rule.deviation.starts_with("Q-") || rule.deviation == "P-058";
            assert!(known && rule.deviation.len() == 5, "{}", rule.deviation);
            assert!((1..=100).contains(&rule.consequence.len()), "{}", rule.deviation);
            assert!(!rule.consequence.ends_with('.'), "{}", rule.deviation);
        }
    }

    #[test]
    fn words_of_a_server_are_quoted_safely() {
        assert_eq!(quote(b"a\x1b[2J"), r#""a\x1b[2J""#);
        assert_eq!(quote("é".repeat(61).as_bytes()), format!("\"{}...\"", "é".repeat(60)));
    }
}
