// What the client traces, the server plays.

use std::sync::{Arc, Mutex};

use popwire::{Connector, Security, TraceLevel};
use popwire_server::{Builder, Server, Transcript};

use crate::setting::{MAIL, alice, login, on_plain_port};

/// A connector that writes down what it traces.
fn traced(connector: Connector, level: TraceLevel) -> (Connector, Arc<Mutex<String>>) {
    let text = Arc::new(Mutex::new(String::new()));
    let lines = Arc::clone(&text);
    let write = move |event: popwire::TraceEvent<'_>| *lines.lock().unwrap() += &format!("{event}\n");
    (connector.trace(level, write), text)
}

helper! {
    /// A session by STLS: its trace, the sizes and ids of the listings, and the lengths of the messages.
    fn session(builder: Builder, level: TraceLevel) -> (String, String, Vec<usize>) {
        let server: Server = builder.start().unwrap();
        let (connector, trace) = traced(on_plain_port(&server, Security::Stls), level);
        let mut client = go!(Client::connect_and_login(&connector, &login())).unwrap();
        let listings = format!("{:?} {:?}", go!(client.list()).unwrap(), go!(client.uidl()).unwrap());
        let mut lengths = Vec::new();
        for number in 1..=2 {
            lengths.push(go!(go!(client.retr(number)).unwrap().read_to_vec()).unwrap().len());
            lengths.push(go!(go!(client.top(number, 0)).unwrap().read_to_vec()).unwrap().len());
        }
        assert!(go!(client.quit()).is_committed());
        let trace = trace.lock().unwrap().clone();
        (trace, listings, lengths)
    }
}

case! {
    fn a_trace_of_the_client_is_a_transcript() {
        for level in [TraceLevel::Lines, TraceLevel::Bodies] {
            let (trace, listings, lengths) = go!(session(alice(), level));
            assert_eq!([lengths[0], lengths[2]], MAIL.map(str::len));
            let playing = Server::builder().transcript(Transcript::parse(&trace).unwrap());
            let (played, same, lengths_played) = go!(session(playing, level));
            assert_eq!(same, listings);
            // Without the bodies nothing tells how long the answer to TOP was.
            for known in (0..4).filter(|at| level == TraceLevel::Bodies || at % 2 == 0) {
                assert_eq!(lengths_played[known], lengths[known]);
            }
            if level == TraceLevel::Lines {
                assert_eq!(played, trace);
            }
        }
    }
}
