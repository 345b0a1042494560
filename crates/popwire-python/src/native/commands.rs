//! The commands that a session of either door has: the Python method, the method of the Rust client, and what makes a
//! value of its answer. What streams, what logs in and what ends the session stands in the doors themselves.

/// Calls the given macro with the list.
macro_rules! commands {
    ($generate:ident) => {
        $generate! {
            stat() => stat() => values::stat;
            list() => list() => values::scans;
            list_one(number: u32) => list_one(number) => values::one_scan;
            uidl() => uidl() => values::unique_ids;
            uidl_one(number: u32) => uidl_one(number) => values::one_unique_id;
            inventory() => inventory() => values::inventory;
            capa() => capa() => values::capabilities;
            dele(number: u32) => dele(number) => values::line;
            rset() => rset() => values::line;
            noop() => noop() => values::line;
            last() => last() => values::last;
            utf8() => utf8() => values::line;
            stls() => stls() => values::line;
            keep_alive(silence: Duration) => keep_alive(silence) => values::as_it_is;
            raw(line: Vec<u8>) => raw(line) => values::line;
            raw_multi(line: Vec<u8>) => raw_multi(line) => values::data;
        }
    };
}

pub(super) use commands;
