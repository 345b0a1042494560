//! Plans made up from a number.

use std::time::Duration;

use super::{Effect, Fault, FaultPlan, Place, Point};

impl FaultPlan {
    /// One to three faults, made up from a number: the same number gives the same plan, on every machine and in all
    /// versions of this crate with the same minor version.
    ///
    /// They are such that a client can notice whatever does harm: no octet of a message is changed in plain sight, for
    /// against that POP3 has no means. Pauses are shorter than 100 ms; a longer one is `hang`.
    ///
    /// ```
    /// use popwire_server::FaultPlan;
    ///
    /// assert_eq!(FaultPlan::from_seed(7), FaultPlan::from_seed(7));
    /// ```
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut random = SplitMix64(seed);
        let count = 1 + random.below(3);
        // What is made up is possible, nearly always: the rest is made up anew.
        std::iter::repeat_with(|| random.fault()).flatten().take(usize::from(count)).collect()
    }
}

/// Sebastiano Vigna's generator: eight octets of state, and good enough to choose faults.
struct SplitMix64(u64);

/// What clients say most, most often.
const KEYWORDS: [&str; 13] =
    ["RETR", "RETR", "RETR", "RETR", "LIST", "UIDL", "STAT", "PASS", "USER", "CAPA", "QUIT", "GREETING", "*"];

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not 0.
    fn below(&mut self, limit: u8) -> u8 {
        // Less than 256, whatever the limit.
        u8::try_from(self.next() % u64::from(limit.max(1))).unwrap_or_default()
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        let at = self.below(u8::try_from(all.len()).unwrap_or(u8::MAX));
        all.get(usize::from(at)).copied()
    }

    fn time(&mut self) -> Duration {
        Duration::from_millis(u64::from(1 + self.below(99)))
    }

    /// A fault, unless it is one that cannot happen or that nobody could notice.
    fn fault(&mut self) -> Option<Fault> {
        let place = match self.below(8) {
            0 => Place::Session(self.next() % 600),
            // A handshake is some 1000 octets long.
            1 => Place::Handshake(if self.below(3) == 0 { 0 } else { self.next() % 1200 }),
            2 => Place::Tls(self.next() % 1500),
            _ => self.answer()?,
        };
        let effect = self.effect()?;
        let in_message = match &place {
            Place::Session(_) => true,
            Place::Answer { keyword, point: Point::Body(_) | Point::End, .. } => {
                ["RETR", "TOP", "*"].contains(&keyword.as_str())
            }
            _ => false,
        };
        if in_message && matches!(effect, Effect::Garbage(_)) {
            return None;
        }
        let place = match place {
            // Most effects have but one point.
            Place::Answer { keyword, nth, .. } if effect.usual_point() != Point::Status => {
                Place::Answer { keyword, nth, point: effect.usual_point() }
            }
            place => place,
        };
        Fault::new(place, effect).ok()
    }

    fn answer(&mut self) -> Option<Place> {
        let keyword = self.one_of(&KEYWORDS)?.to_owned();
        let nth = match keyword.as_str() {
            "*" => Some(u64::from(1 + self.below(12))),
            _ => self.one_of(&[None, Some(1), Some(2), Some(3)])?,
        };
        let point = match self.below(8) {
            0 => Point::Before,
            1 | 2 => Point::Status,
            3 => Point::End,
            4 => Point::After,
            _ => Point::Body(self.next() % 200),
        };
        Some(Place::Answer { keyword, nth, point })
    }

    fn effect(&mut self) -> Option<Effect> {
        Some(match self.below(18) {
            0 => Effect::Split,
            1 => Effect::Bytewise,
            2 => Effect::Stall(self.time()),
            3 => Effect::Drip { octets: u32::from(1 + self.below(64)), every: Duration::from_millis(1) },
            4 => Effect::Hang,
            5 | 6 => Effect::Reset,
            7 => Effect::HalfClose,
            8 => Effect::Close,
            9 => Effect::Cut,
            10 => Effect::Garbage(u32::from(1 + self.below(100))),
            11 => Effect::Refuse,
            12 => Effect::NoEnd,
            13 => Effect::EndTwice,
            14 => {
                let by = i64::from(1 + self.below(200));
                Effect::Size(if self.below(2) == 0 { by } else { -by })
            }
            15 => Effect::Alert(self.one_of(&[10, 20, 40, 42, 48, 70, 80])?),
            _ => Effect::Corrupt,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        let mut random = SplitMix64(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn all_plans_have_a_text_and_all_effects_come_up() {
        let mut effects = BTreeSet::new();
        for seed in 0..2000 {
            let plan = FaultPlan::from_seed(seed);
            assert!((1..=3).contains(&plan.faults().count()), "{plan}");
            assert_eq!(plan.to_string().parse::<FaultPlan>().unwrap(), plan);
            let words = plan.faults().map(|fault| fault.effect().to_string());
            effects.extend(words.map(|word| word.split('=').next().unwrap_or_default().to_owned()));
        }
        assert_eq!(effects.len(), 16, "{effects:?}");
    }
}
