//! Faults and plans as text.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Effect, Fault, FaultPlan, Place, Point};
use crate::quirks::time;

/// A fault that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultError {
    fault: String,
    why: &'static str,
}

impl FaultError {
    pub(super) fn new(fault: String, why: &'static str) -> Self {
        Self { fault, why }
    }
}

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\": {}", self.fault.escape_debug(), self.why)
    }
}

impl Error for FaultError {}

/// Whether this can stand for a command in the text of a fault.
pub(super) fn is_keyword(word: &str) -> bool {
    let ours = ["SESSION", "HANDSHAKE", "TLS"].contains(&word);
    word == "*" || (!word.is_empty() && !ours && word.bytes().all(|octet| octet.is_ascii_alphanumeric()))
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let text = text.trim();
        let wrong = |why| FaultError::new(text.to_owned(), why);
        let Some((place, effect)) = text.split_once(':') else {
            return Err(wrong("a fault is a place, a colon and an effect, as RETR#3@1000:reset"));
        };
        let effect = parse_effect(effect.trim()).map_err(wrong)?;
        let (connection, place) = match place.split_once('/') {
            None => (None, place),
            Some((connection, place)) => {
                let number = connection.trim().strip_prefix("conn#").and_then(|number| number.parse().ok());
                let number = number.filter(|number| *number != 0);
                (Some(number.ok_or_else(|| wrong("before the slash stands conn#N, N from 1"))?), place)
            }
        };
        let place = parse_place(place.trim(), effect).map_err(wrong)?;
        // The text as it was given says more than the fault as it was understood.
        let fault = Self::new(place, effect).map_err(|error| wrong(error.why))?;
        Ok(match connection {
            None => fault,
            Some(number) => fault.in_connection(number),
        })
    }
}

fn parse_place(text: &str, effect: Effect) -> Result<Place, &'static str> {
    let (word, point) = match text.split_once('@') {
        None => (text, None),
        Some((word, point)) => (word, Some(point)),
    };
    let octets = || match point {
        None => Ok(0),
        Some(octets) => octets.parse().map_err(|_| "after this @ stands a number of octets"),
    };
    if word.eq_ignore_ascii_case("session") {
        return octets().map(Place::Session);
    }
    if word.eq_ignore_ascii_case("handshake") {
        return octets().map(Place::Handshake);
    }
    if word.eq_ignore_ascii_case("tls") {
        return octets().map(Place::Tls);
    }
    let (keyword, nth) = match word.split_once('#') {
        None => (word, None),
        Some((keyword, nth)) => {
            (keyword, Some(nth.parse().map_err(|_| "after # stands a number, counted from 1")?))
        }
    };
    let point = match point {
        None => effect.usual_point(),
        Some("before") => Point::Before,
        Some("status") => Point::Status,
        Some("end") => Point::End,
        Some("after") => Point::After,
        Some(octets) => Point::Body(
            octets.parse().map_err(|_| "after @ stands before, status, end, after or a number of octets")?,
        ),
    };
    Ok(Place::Answer { keyword: keyword.to_owned(), nth, point })
}

fn parse_effect(text: &str) -> Result<Effect, &'static str> {
    let (word, value) = match text.split_once('=') {
        None => (text, None),
        Some((word, value)) => (word, Some(value)),
    };
    Ok(match (word, value) {
        ("split", None) => Effect::Split,
        ("bytewise", None) => Effect::Bytewise,
        ("hang", None) => Effect::Hang,
        ("reset", None) => Effect::Reset,
        ("half-close", None) => Effect::HalfClose,
        ("close", None) => Effect::Close,
        ("cut", None) => Effect::Cut,
        ("refuse", None) => Effect::Refuse,
        ("no-end", None) => Effect::NoEnd,
        ("end-twice", None) => Effect::EndTwice,
        ("corrupt", None) => Effect::Corrupt,
        ("stall", Some(value)) => Effect::Stall(time(value).ok_or("a time is 2s or 150ms")?),
        ("drip", Some(value)) => {
            let parsed = value.split_once('/').and_then(|(octets, every)| {
                Some(Effect::Drip { octets: octets.parse().ok()?, every: time(every)? })
            });
            parsed.ok_or("drip takes octets and a pause, as drip=10/50ms")?
        }
        ("garbage", Some(value)) => {
            Effect::Garbage(value.parse().map_err(|_| "garbage takes a number of octets")?)
        }
        ("size", Some(value)) => {
            Effect::Size(value.parse().map_err(|_| "size takes a number with its sign, as size=+10")?)
        }
        ("alert", Some(value)) => {
            Effect::Alert(value.parse().map_err(|_| "alert takes a number from 0 to 255")?)
        }
        _ => {
            return Err(
                "the effects are split, bytewise, stall=T, drip=N/T, hang, reset, half-close, close, cut, \
                        garbage=N, refuse, no-end, end-twice, size=+N, alert=N and corrupt",
            );
        }
    })
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(connection) = self.connection {
            write!(f, "conn#{connection}/")?;
        }
        match &self.place {
            Place::Session(octets) => write!(f, "session@{octets}")?,
            Place::Handshake(0) => f.write_str("handshake")?,
            Place::Handshake(octets) => write!(f, "handshake@{octets}")?,
            Place::Tls(octets) => write!(f, "tls@{octets}")?,
            Place::Answer { keyword, nth, point } => {
                f.write_str(keyword)?;
                if let Some(nth) = nth {
                    write!(f, "#{nth}")?;
                }
                match point {
                    point if *point == self.effect.usual_point() => {}
                    Point::Before => f.write_str("@before")?,
                    Point::Status => f.write_str("@status")?,
                    Point::Body(octets) => write!(f, "@{octets}")?,
                    Point::End => f.write_str("@end")?,
                    Point::After => f.write_str("@after")?,
                }
            }
        }
        write!(f, ":{}", self.effect)
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Split => f.write_str("split"),
            Self::Bytewise => f.write_str("bytewise"),
            Self::Stall(time) => write!(f, "stall={}", Time(*time)),
            Self::Drip { octets, every } => write!(f, "drip={octets}/{}", Time(*every)),
            Self::Hang => f.write_str("hang"),
            Self::Reset => f.write_str("reset"),
            Self::HalfClose => f.write_str("half-close"),
            Self::Close => f.write_str("close"),
            Self::Cut => f.write_str("cut"),
            Self::Garbage(octets) => write!(f, "garbage={octets}"),
            Self::Refuse => f.write_str("refuse"),
            Self::NoEnd => f.write_str("no-end"),
            Self::EndTwice => f.write_str("end-twice"),
            Self::Size(by) => write!(f, "size={by:+}"),
            Self::Alert(description) => write!(f, "alert={description}"),
            Self::Corrupt => f.write_str("corrupt"),
        }
    }
}

/// Whole seconds as `2s`, others as `150ms`.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.subsec_nanos() == 0 {
            write!(f, "{}s", self.0.as_secs())
        } else {
            write!(f, "{}ms", self.0.as_millis())
        }
    }
}

impl FromStr for FaultPlan {
    type Err = FaultError;

    /// A semicolon at the end, and blanks around each, do not matter.
    fn from_str(text: &str) -> Result<Self, FaultError> {
        text.split(';').filter(|fault| !fault.trim().is_empty()).map(str::parse).collect()
    }
}

impl fmt::Display for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.faults.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "; " })?;
            fault.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_comes_back_as_it_was() {
        for text in [
            "RETR#3@1000:reset",
            "RETR:split",
            "RETR@before:hang",
            "RETR@0:bytewise",
            "*#5@after:cut",
            "GREETING:stall=150ms",
            "UIDL@end:stall=2s",
            "LIST:drip=10/50ms",
            "session@0:half-close",
            "session@70:garbage=3",
            "QUIT:close",
            "RETR#2:refuse",
            "LIST:no-end",
            "LIST#1:end-twice",
            "LIST:size=-10",
            "STAT:size=+10",
            "handshake:alert=40",
            "handshake@100:corrupt",
            "tls@20:corrupt",
            "conn#2/tls@20:reset",
            "conn#2/RETR#1@10:split; RETR#2:reset",
            "",
        ] {
            assert_eq!(text.parse::<FaultPlan>().unwrap().to_string(), text);
        }
        let long_hand = " conn#2/retr#2@before:refuse ;list@end:no-end; XTND@status:stall=2;";
        assert_eq!(
            long_hand.parse::<FaultPlan>().unwrap().to_string(),
            "conn#2/RETR#2:refuse; LIST:no-end; XTND:stall=2s"
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_reason() {
        for (text, why) in [
            ("RETR", "a colon"),
            ("RETR:explode", "the effects are"),
            ("RETR#x:reset", "after #"),
            ("RETR#0:reset", "from 1"),
            ("RETR@middle:reset", "after @"),
            ("session@end:reset", "number of octets"),
            ("conn#0/RETR:reset", "conn#N"),
            ("conn2/RETR:reset", "conn#N"),
            (":reset", "keyword"),
            ("RE TR:reset", "keyword"),
            ("RETR:stall=soon", "a time"),
            ("RETR:stall=99999999999999s", "a time"),
            ("RETR:drip=5", "drip takes"),
            ("RETR:garbage=-1", "garbage takes"),
            ("RETR:garbage=4000000000", "at most"),
            ("UIDL:size=+1", "sizes stand"),
            ("RETR:alert=40", "alerts"),
            ("handshake:alert=400", "0 to 255"),
            ("RETR:corrupt", "below TLS"),
            ("handshake:no-end", "terminator"),
            ("RETR@10:refuse", "carried out"),
            ("GREETING:refuse", "carried out"),
            ("tls@5:half-close", "below TLS"),
        ] {
            let error = text.parse::<Fault>().expect_err(text).to_string();
            assert!(error.contains(why), "{error}");
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn a_fault_that_is_built_can_be_read_again() {
        let place = Place::Answer { keyword: "retr".to_owned(), nth: None, point: Point::Body(7) };
        for effect in [
            Effect::Stall(Duration::MAX),
            Effect::Stall(Duration::from_micros(1500)),
            Effect::Drip { octets: 0, every: Duration::from_nanos(1) },
        ] {
            let fault = Fault::new(place.clone(), effect).unwrap();
            assert_eq!(fault.to_string().parse::<Fault>().unwrap(), fault, "{fault}");
        }
    }
}
