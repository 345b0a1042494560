// Planned faults: what each is to the client. Hundreds of them at once are in `sweep.rs`.

use popwire::{Error, Timeouts};
use popwire_server::Server;

use crate::setting::{alice, login, ms, tls};

helper! {
    /// Signs in over TLS and fetches the first message, which is to be what it is on the server. The first error.
    fn fetch(plan: &str) -> Option<Error> {
        let server: Server = alice().fault_plan(plan.parse().unwrap()).start().unwrap();
        let mut timeouts = Timeouts::default();
        timeouts.tls = ms(200);
        timeouts.greeting = ms(200);
        timeouts.first_octet = ms(200);
        timeouts.idle = ms(200);
        timeouts.rescue = None;
        let mut client = match go!(Client::connect_and_login(&tls(&server).timeouts(timeouts), &login())) {
            Ok(client) => client,
            Err(error) => return Some(error),
        };
        if let Err(error) = go!(client.list()) {
            return Some(error);
        }
        let message = match go!(client.retr(1)) {
            Ok(mut message) => go!(message.read_to_vec()),
            Err(error) => return Some(error),
        };
        match message {
            Ok(octets) => assert_eq!(octets, crate::setting::MAIL[0].as_bytes(), "{plan}"),
            Err(error) => return Some(error),
        }
        go!(client.noop()).err()
    }
}

case! {
    /// unharmed: pieces, pauses and wrong sizes change nothing.
    fn what_only_takes_time_is_no_error() {
        for plan in [
            "session@0:bytewise",
            "handshake:bytewise; tls@0:drip=50/1ms",
            "RETR@7:split; RETR@end:split; RETR@end:stall=50ms",
            "handshake@300:stall=50ms; GREETING:stall=50ms; RETR@3:drip=3/2ms",
            "LIST:size=+1000; RETR:size=-20",
            "RETR:size=+5000000000",
        ] {
            let error = go!(fetch(plan));
            assert!(error.is_none(), "{plan}: {error:?}");
        }
    }

    /// refused: a handshake that fails is an error of TLS or of the connection, and one that stands still is a timeout.
    fn handshakes_that_fail() {
        for plan in ["handshake:cut", "handshake@200:cut", "handshake@200:reset", "handshake@700:cut"] {
            let error = go!(fetch(plan)).expect(plan);
            assert!(error.is_tls() || error.is_io(), "{plan}: {error:?}");
        }
        for plan in ["handshake:alert=40", "handshake:garbage=200", "handshake@300:corrupt"] {
            let error = go!(fetch(plan)).expect(plan);
            assert!(error.is_tls(), "{plan}: {error:?}");
        }
        for plan in ["handshake:hang", "handshake@200:hang", "handshake@200:stall=2s"] {
            let error = go!(fetch(plan)).expect(plan);
            assert!(error.is_timeout(), "{plan}: {error:?}");
        }
    }

    /// refused: a connection that ends in a message is an error, however it ends, and the message is not there.
    fn messages_that_break_off() {
        for plan in ["RETR@10:close", "RETR@end:close", "RETR@10:half-close", "RETR:close", "RETR@before:close"] {
            let error = go!(fetch(plan)).expect(plan);
            assert!(error.is_closed(), "{plan}: {error:?}");
        }
        for plan in ["RETR@10:cut", "RETR@end:cut", "RETR@10:reset", "session@150:cut"] {
            let error = go!(fetch(plan)).expect(plan);
            assert!(error.is_io() || error.is_tls(), "{plan}: {error:?}");
        }
        for plan in ["RETR:hang", "RETR@10:hang", "RETR@end:hang", "RETR:no-end"] {
            let error = go!(fetch(plan)).expect(plan);
            assert!(error.is_timeout(), "{plan}: {error:?}");
        }
    }

    /// refused: what is no answer is an error of the protocol, and `-ERR` is the server's word.
    fn answers_that_are_none() {
        for plan in ["RETR:garbage=5", "LIST:garbage=50", "RETR:end-twice"] {
            let error = go!(fetch(plan)).expect(plan);
            assert!(error.is_protocol(), "{plan}: {error:?}");
        }
        for plan in ["RETR:refuse", "LIST:refuse", "NOOP:refuse"] {
            let error = go!(fetch(plan)).expect(plan);
            assert!(error.is_refused(), "{plan}: {error:?}");
        }
    }

    /// refused: a record that was changed on its way is an error, and nothing of it is taken for mail.
    fn records_that_were_changed() {
        for at in [200, 300, 400] {
            let plan = format!("tls@{at}:corrupt");
            let error = go!(fetch(&plan)).expect(&plan);
            assert!(error.is_tls() || error.is_io(), "{plan}: {error:?}");
        }
    }
}
