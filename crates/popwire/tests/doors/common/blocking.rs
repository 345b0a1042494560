// The blocking door: what a theme means by `go!`, `pause!`, `case!` and `helper!`. Included where themes are listed.

mod door {
    pub(super) use popwire::blocking::Client;
    pub(super) use std::io::{BufRead as _, Read as _};
}
macro_rules! go {
    ($waited:expr) => {
        $waited
    };
}
macro_rules! pause {
    ($time:expr) => {
        std::thread::sleep($time)
    };
}
macro_rules! case {
    ($($(#[$meta:meta])* fn $name:ident() $body:block)*) => {
        $($(#[$meta])* #[test] fn $name() $body)*
    };
}
macro_rules! helper {
    ($($(#[$meta:meta])* fn $name:ident($($arguments:tt)*) $(-> $answer:ty)? $body:block)*) => {
        $($(#[$meta])* fn $name($($arguments)*) $(-> $answer)? $body)*
    };
}
