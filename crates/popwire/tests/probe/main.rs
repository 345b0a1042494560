//! The probe against servers that are in order, and against servers with each deviation that it knows, by both doors: it
//! names what is there, and nothing else.
//!
//! The bodies are written once for both doors, as in `tests/doors`.

#![cfg(all(feature = "blocking", feature = "tokio", any(feature = "aws-lc-rs", feature = "ring")))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../doors/common/actor.rs"]
#[allow(dead_code)]
mod actor;
/// Servers by knobs and scripts, and what the probe is to say of each.
mod rows;
#[path = "../doors/common/setting.rs"]
#[allow(dead_code)]
mod setting;
/// A mailbox that shows what a server does to mail, and a probe of it in no time.
mod stage;
#[path = "../doors/common/troupe.rs"]
#[allow(dead_code)]
mod troupe;

/// The themes: each is a file with the bodies of its tests.
macro_rules! themes {
    () => {
        themes! {
            sound: "sound.rs",
            found: "found.rs",
            broken: "broken.rs",
            knobs: "knobs.rs",
        }
    };
    ($($theme:ident: $file:literal,)*) => {
        $(mod $theme {
            use super::{door::*, probe};
            include!($file);
        })*
    };
}

// Not all that a door has is used here.
#[allow(unused_imports, unused_macros)]
mod blocking {
    include!("../doors/common/blocking.rs");
    use popwire::blocking::probe;
    themes!();
}

#[allow(unused_imports, unused_macros)]
mod tokio {
    include!("../doors/common/tokio.rs");
    use popwire::tokio::probe;
    themes!();
}
