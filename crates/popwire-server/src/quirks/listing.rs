//! STAT, LIST and UIDL: their numbers, and how their lines are written.

use std::io::{self, BufRead as _, BufReader, Read};

use super::Knob;
use crate::store::{Entry, Store};
use crate::{Answer, Builder};

/// See the knobs.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListingQuirks {
    size: Size,
    /// The later of two messages has the unique-id of the earlier.
    twins: Vec<(u64, u64)>,
    blank: Vec<u64>,
    weird: Option<Weird>,
    bad_lines: Option<BadLines>,
    separator: Option<Vec<u8>>,
    prefix: Vec<u8>,
    flood: u64,
    /// LIST of an empty mailbox is refused.
    pub(crate) empty_refused: bool,
    stat: Stat,
    /// UIDL without an argument ends the connection after so many lines.
    pub(crate) cut_after: Option<u64>,
    pub(crate) one: One,
}

/// Which listing a line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    Scan,
    UniqueIds,
}

/// What is said of a message's size, in octets.
#[derive(Clone, Copy, Debug, Default)]
enum Size {
    #[default]
    True,
    /// So many hundredths of it.
    Hundredths(u64),
    /// Rounded up to a multiple.
    Rounded(u64),
    Always(u64),
    /// As if lines ended in LF.
    WithoutCr,
}

/// A kind of unique-id that RFC 1939 section 7 does not allow.
#[derive(Clone, Copy, Debug)]
enum Weird {
    Long,
    Space,
    EightBit,
    Control,
}

/// Lines between the good ones.
#[derive(Clone, Copy, Debug)]
enum BadLines {
    /// Lines without a second field, and empty ones.
    NoValue,
    /// A number of no message, and a size that is no number.
    WrongNumbers,
    /// A number that is none, and gaps.
    NoNumber,
}

/// What STAT says, where that is not the truth.
#[derive(Clone, Debug, Default)]
struct Stat {
    count: Option<u64>,
    /// What follows the count, the blank included.
    rest: Option<String>,
}

/// How UIDL with an argument is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum One {
    #[default]
    Regular,
    /// Without the message's number.
    WithoutNumber,
    /// In two lines, the second of which is the dot of a listing.
    AsListing,
}

impl ListingQuirks {
    /// Gives the messages of a session the sizes and the unique-ids that it shows.
    pub(crate) fn rewrite(&self, entries: &mut [Entry], store: &dyn Store) -> io::Result<()> {
        let at = |number: u64| usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        for (earlier, later) in &self.twins {
            let unique_id = at(*earlier).and_then(|at| entries.get(at)).map(|entry| entry.unique_id.clone());
            if let (Some(unique_id), Some(later)) = (unique_id, at(*later).and_then(|at| entries.get_mut(at)))
            {
                later.unique_id = unique_id;
            }
        }
        for number in &self.blank {
            if let Some(entry) = at(*number).and_then(|at| entries.get_mut(at)) {
                entry.unique_id.clear();
            }
        }
        for entry in entries {
            match self.weird {
                None => {}
                Some(Weird::Long) => entry.unique_id.extend_from_slice(&[b'x'; 300]),
                Some(Weird::Space) => entry.unique_id.extend_from_slice(b" and more"),
                Some(Weird::EightBit) => entry.unique_id.extend_from_slice(b"\xfc\xff"),
                Some(Weird::Control) => entry.unique_id.extend_from_slice(b"\x01\x1b[31m"),
            }
            entry.size = match self.size {
                Size::True => entry.size,
                Size::Hundredths(part) => entry.size.saturating_mul(part) / 100,
                Size::Rounded(unit) => entry.size.checked_next_multiple_of(unit).unwrap_or(u64::MAX),
                Size::Always(octets) => octets,
                Size::WithoutCr => entry.size.saturating_sub(lines(store.open(&entry.key)?)?),
            };
        }
        Ok(())
    }

    /// Appends a line, as it is written for this message, to `out`.
    pub(crate) fn line(&self, listing: Listing, number: u64, value: &[u8], out: &mut Vec<u8>) {
        match (listing, self.bad_lines, number) {
            (Listing::Scan, Some(BadLines::NoValue), 2) => out.extend_from_slice(b"2\r\n"),
            (_, Some(BadLines::NoValue), 3) => out.extend_from_slice(b"\r\n"),
            (Listing::Scan, Some(BadLines::WrongNumbers), 2) => out.extend_from_slice(b"2 many\r\n"),
            (_, Some(BadLines::WrongNumbers), 3) => out.extend_from_slice(b"4294967295 1\r\n"),
            (_, Some(BadLines::NoNumber), 2) => out.extend_from_slice(b"two 120\r\n"),
            // Number 1 is left out altogether.
            (_, Some(BadLines::NoNumber), 1) => {}
            _ => {
                let separator = match (&self.separator, listing) {
                    (Some(separator), Listing::UniqueIds) => separator.as_slice(),
                    _ => b" ",
                };
                let prefix = if listing == Listing::UniqueIds { self.prefix.as_slice() } else { b"" };
                let line = [prefix, number.to_string().as_bytes(), separator, value].concat();
                popwire_proto::server::answer::line(out, &line);
            }
        }
    }

    /// How many lines follow that are no messages'.
    pub(crate) fn flood(&self, listing: Listing) -> u64 {
        if listing == Listing::UniqueIds { self.flood } else { 0 }
    }

    /// What follows the `+OK` of STAT.
    pub(crate) fn stat(&self, count: u64, octets: u64) -> String {
        let count = self.stat.count.unwrap_or(count);
        match &self.stat.rest {
            None => format!("{count} {octets}"),
            Some(rest) => format!("{count}{rest}"),
        }
    }
}

/// How many lines a message has.
fn lines(message: impl Read) -> io::Result<u64> {
    let mut lines = 0;
    let mut message = BufReader::new(message);
    while message.skip_until(b'\n')? > 0 {
        lines += 1;
    }
    Ok(lines)
}

/// Sets a field of the section.
fn set(mut builder: Builder, change: impl FnOnce(&mut ListingQuirks)) -> Option<Builder> {
    change(&mut builder.options.quirks.listing);
    Some(builder)
}

pub(super) const KNOBS: &[Knob] = &[
    Knob {
        name: "stat",
        values: &["garbage1", "garbage2", "garbage3", "login_delay"],
        about: "STAT has no size, words in its place, or `#120octets` (Comcast); or is refused, since the login came too \
                soon (old Hotmail).",
        deviations: &[43, 62],
        set: |builder, value| match value.word() {
            "garbage1" => set(builder, |quirks| quirks.stat.rest = Some("".into())),
            "garbage2" => set(builder, |quirks| quirks.stat.rest = Some(" messages are here".into())),
            "garbage3" => set(builder, |quirks| quirks.stat.rest = Some(" #120octets".into())),
            "login_delay" => {
                Some(builder.script("STAT", Answer::raw("-ERR login allowed only every 15 minutes\r\n")))
            }
            _ => None,
        },
    },
    Knob {
        name: "stat_size",
        values: &["-1024"],
        about: "STAT says this for the octets: a number of 32 bits that overflowed.",
        deviations: &[61],
        set: |builder, value| {
            let octets: i128 = value.word().parse().ok()?;
            set(builder, |quirks| quirks.stat.rest = Some(format!(" {octets}")))
        },
    },
    Knob {
        name: "stat_count",
        values: &["2147483647"],
        about: "STAT says this for the messages: a server that means harm.",
        deviations: &[10],
        set: |builder, value| {
            let count = value.number()?;
            set(builder, |quirks| quirks.stat.count = Some(count))
        },
    },
    Knob {
        name: "empty_list",
        values: &["err"],
        about: "LIST of an empty mailbox is refused.",
        deviations: &[63],
        set: |mut builder, value| {
            builder.options.quirks.listing.empty_refused = value.word() == "err";
            (value.word() == "err").then_some(builder)
        },
    },
    Knob {
        name: "list_lines",
        values: &["comcast-error1", "comcast-error2", "comcast-error3"],
        about: "LIST has lines without a second field, and UIDL too has empty ones (1), a number of no message and a size \
                that is none (2), or a number that is none, and a message less (3).",
        deviations: &[64],
        set: |builder, value| {
            let bad = match value.word() {
                "comcast-error1" => BadLines::NoValue,
                "comcast-error2" => BadLines::WrongNumbers,
                "comcast-error3" => BadLines::NoNumber,
                _ => return None,
            };
            set(builder, |quirks| quirks.bad_lines = Some(bad))
        },
    },
    Knob {
        name: "list_size",
        values: &["x0.6", "x3", "round1024", "const1024", "lf", "4294967295"],
        about: "Sizes are those of a compressed copy (x0.6: Exchange 2000), of what TOP and RETR leave out (x3: MailMax), \
                rounded (OpenMail), always the same (GroupWise), counted with LF for CRLF (many on Unix), or absurd. STAT \
                has their sum.",
        deviations: &[83, 84, 85, 87, 88, 150],
        set: |builder, value| {
            let word = value.word();
            let size = match word {
                "lf" => Size::WithoutCr,
                _ if word.starts_with('x') => {
                    let factor: f64 = word.get(1..)?.parse().ok()?;
                    let is_sane = (0.01..=1000.0).contains(&factor);
                    // A sane factor fits, with its two digits.
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                    is_sane.then_some(Size::Hundredths((factor * 100.0).round() as u64))?
                }
                _ if word.starts_with("round") => Size::Rounded(
                    word.strip_prefix("round")?.parse().ok().filter(|unit| (1..=1 << 20).contains(unit))?,
                ),
                _ if word.starts_with("const") => Size::Always(word.strip_prefix("const")?.parse().ok()?),
                _ => Size::Always(value.number()?),
            };
            set(builder, |quirks| quirks.size = size)
        },
    },
    Knob {
        name: "uidl",
        values: &["err_transient", "none"],
        about: "UIDL is announced and fails the first time in a session, by a server that has it (Verizon), or is not \
                there at all.",
        deviations: &[75, 76],
        set: |builder, value| match value.word() {
            "err_transient" => Some(
                builder.script("UIDL", Answer::raw("-ERR temporary failure, try again later\r\n").nth(1)),
            ),
            "none" => Some(
                builder
                    .script("UIDL", Answer::raw("-ERR unknown command\r\n"))
                    .quirk("capa_omit=UIDL")
                    .ok()?,
            ),
            _ => None,
        },
    },
    Knob {
        name: "uidl1",
        values: &["nonum", "multiline"],
        about: "UIDL with a number is answered without it (Twisted), or as a listing of one line (Mailpit).",
        deviations: &[67],
        set: |builder, value| {
            let one = match value.word() {
                "nonum" => One::WithoutNumber,
                "multiline" => One::AsListing,
                _ => return None,
            };
            set(builder, |quirks| quirks.one = one)
        },
    },
    Knob {
        name: "uidl_sep",
        values: &["\"  \"", "\" \\t \""],
        about: "These octets stand between number and unique-id: Maillennium has several blanks there.",
        deviations: &[65],
        set: |builder, value| {
            let separator = value.octets().filter(|octets| !octets.contains(&b'\n'))?;
            set(builder, |quirks| quirks.separator = Some(separator))
        },
    },
    Knob {
        name: "uidl_prefix",
        values: &["\"+OK \""],
        about: "These octets stand before each line of UIDL.",
        deviations: &[66],
        set: |builder, value| {
            let prefix = value.octets().filter(|octets| !octets.contains(&b'\n'))?;
            set(builder, |quirks| quirks.prefix = prefix)
        },
    },
    Knob {
        name: "uidl_blank",
        values: &["3", "1,2"],
        about: "These messages have an empty unique-id.",
        deviations: &[68],
        set: |builder, value| {
            let numbers = value.numbers()?;
            set(builder, |quirks| quirks.blank = numbers)
        },
    },
    Knob {
        name: "uidl_dup",
        values: &["2,5", "1,2"],
        about: "The second of these two messages has the unique-id of the first: servers whose ids are hashes, and \
                mailboxes that were copied together.",
        deviations: &[69, 74],
        set: |builder, value| {
            let [first, second] = value.numbers()?.try_into().ok()?;
            set(builder, |quirks| quirks.twins.push((first, second)))
        },
    },
    Knob {
        name: "uidl_weird",
        values: &["long", "space", "8bit", "control"],
        about: "Unique-ids have more than 300 octets, spaces, octets beyond ASCII, or control characters.",
        deviations: &[70],
        set: |builder, value| {
            let weird = match value.word() {
                "long" => Weird::Long,
                "space" => Weird::Space,
                "8bit" => Weird::EightBit,
                "control" => Weird::Control,
                _ => return None,
            };
            set(builder, |quirks| quirks.weird = Some(weird))
        },
    },
    Knob {
        name: "uidl_flood",
        values: &["5000000"],
        about: "UIDL has so many lines more: a server that means harm.",
        deviations: &[10],
        set: |builder, value| {
            let lines = value.number()?;
            set(builder, |quirks| quirks.flood = lines)
        },
    },
    Knob {
        name: "uidl_cut_after",
        values: &["7", "1"],
        about: "The connection ends in the middle of the answer to UIDL, after so many lines: Dovecot, when something \
                goes wrong within.",
        deviations: &[79],
        set: |builder, value| {
            let lines = value.number()?;
            set(builder, |quirks| quirks.cut_after = Some(lines))
        },
    },
];
