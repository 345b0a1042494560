//! The keys of a scenario. What they mean is in `docs/scenario.md`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use toml::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    pub(super) listen: Option<SocketAddr>,
    pub(super) listen_tls: Option<SocketAddr>,
    pub(super) greeting: Option<String>,
    pub(super) apop: Option<bool>,
    pub(super) capa: Option<bool>,
    pub(super) utf8: Option<bool>,
    pub(super) last: Option<bool>,
    pub(super) verbatim: Option<bool>,
    pub(super) delete_at_disconnect: Option<bool>,
    pub(super) personality: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) quirks: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) faults: Vec<Spanned<String>>,
    pub(super) seed: Option<u64>,
    #[serde(default)]
    pub(super) user: Vec<User>,
    #[serde(default)]
    pub(super) answer: Vec<Spanned<Answer>>,
    #[serde(default)]
    pub(super) tls: Tls,
    #[serde(default)]
    pub(super) sasl: Sasl,
    pub(super) capabilities: Option<Capabilities>,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) timers: Timers,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct User {
    pub(super) name: Spanned<String>,
    pub(super) password: String,
    pub(super) token: Option<String>,
    pub(super) maildir: Option<Spanned<PathBuf>>,
    pub(super) mbox: Option<Spanned<PathBuf>>,
    pub(super) messages: Option<Vec<Spanned<Message>>>,
}

/// The name of a file, or a table.
#[derive(Debug)]
pub(super) enum Message {
    File(PathBuf),
    Table(Table),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub(super) file: Option<PathBuf>,
    pub(super) text: Option<String>,
    pub(super) size: Option<u64>,
    pub(super) line_len: Option<u64>,
    pub(super) unique_id: Option<String>,
    #[serde(default)]
    pub(super) seen: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    pub(super) command: String,
    pub(super) send: String,
    pub(super) nth: Option<u64>,
    pub(super) nth_overall: Option<u64>,
    #[serde(default, deserialize_with = "time")]
    pub(super) after: Option<Duration>,
    pub(super) then: Option<Then>,
    #[serde(default)]
    pub(super) and_do: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Then {
    Close,
    HalfClose,
    Cut,
    Reset,
    Hang,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) certificate: Option<Certificate>,
    pub(super) stls: Option<bool>,
    pub(super) require_tls: Option<bool>,
    pub(super) tls12_only: Option<bool>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Certificate {
    Good,
    WrongName,
    Wildcard,
    CommonNameOnly,
    Expired,
    UnknownCa,
    SelfSigned,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sasl {
    #[serde(default)]
    pub(super) mechanisms: Vec<Mechanism>,
    #[serde(default)]
    pub(super) hidden: Vec<Mechanism>,
    pub(super) anonymous: Option<String>,
    pub(super) iterations: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Mechanism(pub(super) crate::Mechanism);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Capabilities {
    pub(super) before_login: Vec<String>,
    pub(super) after_login: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) connections: Option<usize>,
    pub(super) auth_line: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Timers {
    #[serde(default, deserialize_with = "time")]
    pub(super) idle: Option<Duration>,
    #[serde(default, deserialize_with = "time")]
    pub(super) write: Option<Duration>,
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let time = crate::quirks::time(&text);
    time.map(Some).ok_or_else(|| de::Error::custom("a time is \"2s\" or \"150ms\", and a year at most"))
}

impl<'de> Deserialize<'de> for Mechanism {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = crate::Mechanism::from_str(&name);
        known
            .map(Self)
            .map_err(|_| de::Error::custom(format_args!("\"{name}\" is no mechanism that is known here")))
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Message;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a file, or a table with file, text or size")
            }

            fn visit_str<E: de::Error>(self, path: &str) -> Result<Message, E> {
                Ok(Message::File(path.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Message, A::Error> {
                Table::deserialize(de::value::MapAccessDeserializer::new(map)).map(Message::Table)
            }
        }
        deserializer.deserialize_any(Either)
    }
}
