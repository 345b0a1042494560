//! Mistakes in the configuration: where they are, and what may have been meant.

use std::path::Path;

use crate::explain::Problem;

/// What is wrong with the file, by its parser.
pub(super) fn in_toml(path: &Path, text: &str, error: &toml::de::Error) -> Problem {
    let message = error.message().trim();
    let place = error.span().map(|span| place(text, span.start));
    let what = match &place {
        Some((line, column, _)) => format!("{}:{line}:{column}: {}", path.display(), first_line(message)),
        None => format!("{}: {}", path.display(), first_line(message)),
    };
    let mut advice = String::new();
    if let Some((.., line)) = place {
        advice.push_str(&format!("There stands: {} ", line.trim()));
    }
    advice.push_str(&suggestion(message));
    Problem::configuration(what, advice.trim_end())
}

/// What is wrong with an account that the parser had nothing against.
pub(super) fn in_account(path: &Path, text: &str, account: &str, key: &str, what: &str) -> Problem {
    let place = find(text, account, key).map(|at| place(text, at));
    let path = path.display();
    let what = match place {
        Some((line, column, _)) => format!("{path}:{line}:{column}: {what}"),
        None => format!("{path}: {what}"),
    };
    Problem::configuration(what, "Nothing was sent. docs/config.md has every key.")
        .of(Some(&account.to_owned()))
}

/// Where a key of an account stands; or the account, if the key is from elsewhere.
fn find(text: &str, account: &str, key: &str) -> Option<usize> {
    let head = [format!("[account.{account}]"), format!("[account.\"{account}\"]")];
    let begin = head.iter().find_map(|head| text.find(head))?;
    let mut at = begin;
    for line in text.get(begin..)?.split_inclusive('\n') {
        if at > begin && line.trim_start().starts_with('[') {
            break;
        }
        let name = line.split(['=', '.']).next().unwrap_or_default().trim();
        if name == key {
            return Some(at);
        }
        at += line.len();
    }
    Some(begin)
}

/// Line and column, from 1, and the line.
fn place(text: &str, at: usize) -> (usize, usize, &str) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let begin = before.rfind('\n').map_or(0, |end| end + 1);
    let column = before.get(begin..).unwrap_or_default().chars().count() + 1;
    (line, column, text.get(begin..).unwrap_or_default().lines().next().unwrap_or_default())
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

/// What may have been meant, by the names that the parser would have taken.
fn suggestion(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let (Some(wrong), true) = (quoted.next(), message.starts_with("unknown ")) else {
        return "docs/config.md has every key.".to_owned();
    };
    if wrong == "plaintext" || wrong == "plain" {
        return "Passwords do not stand in the configuration.".to_owned();
    }
    let known: Vec<&str> = quoted.collect();
    match nearest(wrong, &known) {
        Some(nearest) => format!("Did you mean {nearest}?"),
        None => format!("It takes: {}", known.join(", ")),
    }
}

/// The word that is so near that it may have been meant.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|known| {
            (strsim::normalized_damerau_levenshtein(&word.to_lowercase(), &known.to_lowercase()), *known)
        })
        .filter(|(likeness, _)| *likeness > 0.6)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, known)| known)
}
