//! The POP3 object that this project began with, statement by statement: S0 to S16.
//!
//! Each row runs against the embedded server and against Dovecot, over plain TCP, implicit TLS and STLS, by the blocking
//! and by the async client. The rows stand once, in `rows.rs` and `wire.rs`; here they are made into tests for each door.

#![allow(missing_docs, clippy::unwrap_used)]

mod world;

mod blocking {
    use popwire::blocking::Client;

    /// What the async door has to await is there at once.
    macro_rules! go {
        ($e:expr) => {
            $e
        };
    }

    macro_rules! row {
        ($name:ident, $body:block) => {
            #[test]
            fn $name() $body
        };
    }

    include!("rows.rs");
    include!("wire.rs");
    include!("rules.rs");
}

mod tokio {
    use popwire::tokio::Client;

    macro_rules! go {
        ($e:expr) => {
            $e.await
        };
    }

    macro_rules! row {
        ($name:ident, $body:block) => {
            #[::tokio::test]
            async fn $name() $body
        };
    }

    include!("rows.rs");
    include!("wire.rs");
    include!("rules.rs");
}
