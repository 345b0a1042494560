//! The client over real sockets, by both doors: each test runs once with `popwire::blocking` and once with
//! `popwire::tokio`.
//!
//! The bodies are written once. In them `go!` waits for what it is given (blocking: it is there already; with tokio
//! it is `.await`), `pause!` sleeps, `case!` makes a test and `helper!` a function of either kind.

#![cfg(all(feature = "blocking", feature = "tokio", any(feature = "aws-lc-rs", feature = "ring")))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// What is an Iterator behind the blocking door is none behind the other.
#![allow(clippy::while_let_on_iterator)]

#[path = "common/actor.rs"]
mod actor;
#[path = "common/openssl.rs"]
mod openssl;
#[path = "common/setting.rs"]
mod setting;
#[path = "common/troupe.rs"]
mod troupe;

/// The tests that only the async door can have.
mod cancelling;
/// TLS that is busy with itself.
mod fruitless;
/// Streams that are no TCP streams of ours.
mod transports;

/// The themes: each is a file with the bodies of its tests.
macro_rules! themes {
    () => {
        themes! {
            smuggling: "smuggling.rs",
            policy: "policy.rs",
            tls: "tls.rs",
            certificates: "certificates.rs",
            secrets: "secrets.rs",
            forgery: "forgery.rs",
            peers: "peers.rs",
            reading: "reading.rs",
            waiting: "waiting.rs",
            rescue: "rescue.rs",
            login: "login.rs",
            mechanisms: "mechanisms.rs",
            binding: "binding.rs",
            refusals: "refusals.rs",
            choice: "choice.rs",
            distrust: "distrust.rs",
            reconnecting: "reconnecting.rs",
            renewal: "renewal.rs",
            verdicts: "verdicts.rs",
            every_mechanism: "every_mechanism.rs",
            hidden: "hidden.rs",
            pipelining: "pipelining.rs",
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
    include!("common/blocking.rs");
    themes!();
}

mod tokio {
    include!("common/tokio.rs");
    themes!();
}
