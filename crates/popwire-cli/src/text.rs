//! Text that came from outside, and numbers, made fit to print.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use popwire::Text;
use unicode_width::UnicodeWidthChar as _;

/// The columns of the terminal behind this stream; the usual 80 if it is none.
pub(crate) fn columns(stream: &impl std::os::fd::AsFd) -> usize {
    terminal_size::terminal_size_of(stream).map_or(80, |(width, _)| usize::from(width.0))
}

/// A field of a mail on one line: white space is one blank, and what could run a terminal or deceive its reader stands
/// there as an escape.
pub(crate) fn field(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    Text::from(words.join(" ").as_str()).to_string()
}

/// Cuts a text at so many columns of a terminal, or fills it up to them.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    let width = |c: char| c.width().unwrap_or(0);
    let whole: usize = text.chars().map(width).sum();
    if whole <= columns {
        return format!("{text}{}", " ".repeat(columns - whole));
    }
    let mut cut = String::new();
    let mut used = 0;
    for c in text.chars() {
        if used + width(c) + 1 > columns {
            break;
        }
        used += width(c);
        cut.push(c);
    }
    cut.push('…');
    cut.push_str(&" ".repeat(columns.saturating_sub(used + 1)));
    cut
}

/// A size for people: `912 B`, `18 kB`, `3.4 MB`.
pub(crate) fn size(octets: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if octets < 1000 {
        return format!("{octets} B");
    }
    let mut scaled = octets;
    for unit in UNITS {
        // In tenths, rounded, so that 999 950 is a MB and not 1000 kB.
        let tenths = scaled.saturating_add(50) / 100;
        if tenths < 100 {
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
        let whole = scaled.saturating_add(500) / 1000;
        if whole < 1000 {
            return format!("{whole} {unit}");
        }
        scaled /= 1000;
    }
    format!("{octets} B")
}

/// `1 message`, `2 messages`.
pub(crate) fn messages(count: u64) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}

/// Breaks a text at blanks, for a terminal of so many columns. A word that is longer stays whole.
pub(crate) fn wrap(text: &str, columns: usize, indent: &str) -> String {
    let mut wrapped = indent.to_owned();
    let mut used = indent.len();
    for (at, word) in text.split(' ').enumerate() {
        let width: usize = word.chars().map(|c| c.width().unwrap_or(0)).sum();
        if at > 0 && used + 1 + width > columns {
            wrapped.push('\n');
            wrapped.push_str(indent);
            used = indent.len();
        } else if at > 0 {
            wrapped.push(' ');
            used += 1;
        }
        wrapped.push_str(word);
        used += width;
    }
    wrapped
}

/// A time for people: `12 ms`, `1.3 s`, `42 s`, `3 min 20 s`.
pub(crate) fn duration(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        1..10 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 10..120 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// A day for people, `2027-01-03`; in UTC.
pub(crate) fn day(time: SystemTime) -> String {
    let zoned = Timestamp::try_from(time).map(|time| time.to_zoned(TimeZone::UTC));
    zoned.map(|time| time.strftime("%Y-%m-%d").to_string()).unwrap_or_default()
}

/// Whom a distinguished name (RFC 4514) names, for people: `CN=R11,O=Let's Encrypt,C=US` is Let's Encrypt R11.
pub(crate) fn person(name: &str) -> String {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in name.chars() {
        match (c, parts.last_mut()) {
            (',' | '+', _) if !escaped => parts.push(String::new()),
            ('\\', _) if !escaped => {
                escaped = true;
                continue;
            }
            (c, Some(part)) => part.push(c),
            _ => {}
        }
        escaped = false;
    }
    let of =
        |kind: &str| parts.iter().find_map(|part| part.strip_prefix(kind)).filter(|value| !value.is_empty());
    match (of("O="), of("CN=")) {
        (Some(organization), Some(common)) if !common.starts_with(organization) => {
            format!("{organization} {common}")
        }
        (_, Some(one)) | (Some(one), None) => one.to_owned(),
        (None, None) => name.to_owned(),
    }
}

/// JSON in which the characters that could run a terminal stand as `\u` escapes; `serde_json` escapes only some.
pub(crate) fn json_for_terminals(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        let deceives = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if c.is_control() || deceives {
            // Writing to a string does not fail. All of these have four digits.
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_mail_runs_a_terminal() {
        assert_eq!(field("a\tb\r\n  c \u{1b}[2J\u{9b}1m\u{202e}x"), r"a b c \x1b[2J\xc2\x9b1m\xe2\x80\xaex");
        let json = json_for_terminals("{\"s\":\"\u{9b}\u{202e}\u{7f}é\"}");
        assert_eq!(json, r#"{"s":"\u009b\u202e\u007fé"}"#);
    }

    #[test]
    fn columns_are_those_of_the_terminal() {
        assert_eq!(fit("abc", 5), "abc  ");
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit("日本語", 6), "日本語");
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("日本語", 4), "日… ");
    }

    #[test]
    fn advice_is_broken_at_blanks() {
        assert_eq!(wrap("a bb cccccccc d", 7, "  "), "  a bb\n  cccccccc\n  d");
        assert_eq!(wrap("", 7, "  "), "  ");
    }

    #[test]
    fn distinguished_names_are_shortened_to_what_says_who() {
        for (name, who) in [
            ("CN=R11,O=Let's Encrypt,C=US", "Let's Encrypt R11"),
            ("CN=GeoTrust TLS CA,OU=www.digicert.com,O=DigiCert Inc,C=US", "DigiCert Inc GeoTrust TLS CA"),
            ("CN=DigiCert Inc R3,O=DigiCert Inc", "DigiCert Inc R3"),
            (r"O=Amazon\, Inc.,C=US", "Amazon, Inc."),
            ("CN=localhost", "localhost"),
            ("C=US", "C=US"),
            ("", ""),
        ] {
            assert_eq!(person(name), who);
        }
        assert_eq!(day(SystemTime::UNIX_EPOCH), "1970-01-01");
    }

    #[test]
    fn sizes_have_two_or_three_digits() {
        for (octets, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (9_949, "9.9 kB"),
            (9_950, "10 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (3_400_000, "3.4 MB"),
            (5_000_000_000, "5.0 GB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(size(octets), text);
        }
    }
}
