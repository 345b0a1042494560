//! Times and sizes as people write them: `14d`, `90s`, `10MB`.

use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// A time: a number and `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "String"))]
pub(crate) struct Span(pub(crate) Duration);

/// A size: a number, and `B`, `kB`, `MB` or `GB`, in thousands; without a unit, octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "Either"))]
pub(crate) struct Octets(pub(crate) u64);

/// How a size is written.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "for the schema only")]
enum Either {
    Number(u64),
    Text(String),
}

impl Span {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        const UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 60 * 60), ("d", 24 * 60 * 60)];
        let seconds = with_unit(text, &UNITS)?;
        // A year: no clock arithmetic overflows, and nobody waits longer.
        (seconds <= 366 * 24 * 60 * 60).then(|| Self(Duration::from_secs(seconds)))
    }
}

impl Octets {
    fn parse(text: &str) -> Option<Self> {
        const UNITS: [(&str, u64); 7] = [
            ("kB", 1000),
            ("KB", 1000),
            ("MB", 1_000_000),
            ("GB", 1_000_000_000),
            ("B", 1),
            ("k", 1000),
            ("M", 1_000_000),
        ];
        text.trim().parse().ok().or_else(|| with_unit(text, &UNITS)).map(Self)
    }
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let (unit, factor) = units.iter().find(|(unit, _)| text.ends_with(unit))?;
    text.strip_suffix(unit)?.trim_end().parse::<u64>().ok()?.checked_mul(*factor)
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!("{text:?} is no time; like this: \"90s\", \"5m\", \"14d\""))
        })
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a size such as \"10MB\"")]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(octets) => Ok(Self(octets)),
            Written::Text(text) => Self::parse(&text)
                .ok_or_else(|| D::Error::custom(format!("{text:?} is no size; like this: \"10MB\""))),
        }
    }
}
