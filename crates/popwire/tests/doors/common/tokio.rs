// The async door: what a theme means by `go!`, `pause!`, `case!` and `helper!`. Included where themes are listed.

mod door {
    pub(super) use ::tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _};
    pub(super) use popwire::tokio::Client;
}
macro_rules! go {
    ($waited:expr) => {
        $waited.await
    };
}
macro_rules! pause {
    ($time:expr) => {
        ::tokio::time::sleep($time).await
    };
}
macro_rules! case {
    ($($(#[$meta:meta])* fn $name:ident() $body:block)*) => {
        $($(#[$meta])* #[::tokio::test] async fn $name() $body)*
    };
}
macro_rules! helper {
    ($($(#[$meta:meta])* fn $name:ident($($arguments:tt)*) $(-> $answer:ty)? $body:block)*) => {
        $($(#[$meta])* async fn $name($($arguments)*) $(-> $answer)? $body)*
    };
}
