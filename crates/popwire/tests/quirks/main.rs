//! The client against each deviation of a real server that the embedded server can imitate, by both doors. The test's
//! name begins with the deviation's id, and the server is given the knob that imitates it.
//!
//! The line of documentation above each test is its verdict, and makes the table in `docs/quirks.md`. It begins with
//!
//! - `unharmed`: everything works, as with any other server;
//! - `told`: everything works, and the caller can find out;
//! - `refused`: what cannot be had is a typed error, nothing is lost, and the rest goes on.
//!
//! The bodies are written once for both doors, as in `tests/doors`.

#![cfg(all(feature = "blocking", feature = "tokio", any(feature = "aws-lc-rs", feature = "ring")))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../doors/common/actor.rs"]
#[allow(dead_code)]
mod actor;
#[path = "../doors/common/setting.rs"]
#[allow(dead_code)]
mod setting;
/// A server with quirks, and a client that has signed in.
mod stage;
/// Faults by the hundred.
mod sweep;

/// The sections: each is a file with the bodies of its tests.
macro_rules! themes {
    () => {
        themes! {
            capabilities: "capabilities.rs",
            transport: "transport.rs",
            login: "login.rs",
            view: "view.rs",
            listing: "listing.rs",
            message: "message.rs",
            update: "update.rs",
            products: "products.rs",
            faults: "faults.rs",
            transcripts: "transcripts.rs",
        }
    };
    ($($theme:ident: $file:literal,)*) => {
        $(mod $theme {
            #[allow(unused_imports)]
            use super::door::*;
            include!($file);
        })*
    };
}

mod blocking {
    include!("../doors/common/blocking.rs");
    themes!();
}

mod tokio {
    include!("../doors/common/tokio.rs");
    themes!();
}
