use popwire_server::{Builder, Maildrop, Server};

use crate::setting::PASSWORD;

/// Alice has three messages, of one, two and three lines.
pub(crate) const MESSAGES: [&str; 3] = [
    "Subject: 1\r\n\r\none\r\n",
    "Subject: 2\r\n\r\none\r\ntwo\r\n",
    "Subject: 3\r\n\r\none\r\ntwo\r\nthree\r\n",
];

/// Alice with [`MESSAGES`], on a server with these quirks.
pub(crate) fn with(quirks: &[&str]) -> Server {
    start(Server::builder().user("alice", PASSWORD, Maildrop::memory(MESSAGES)), quirks)
}

/// A server with these quirks.
pub(crate) fn start(builder: Builder, quirks: &[&str]) -> Server {
    let set = |builder: Builder, quirk: &&str| builder.quirk(quirk).unwrap();
    quirks.iter().fold(builder, set).start().unwrap()
}
