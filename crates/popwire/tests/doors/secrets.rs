// No secret is shown: in no trace, no error, no Debug. P-133.

use std::sync::{Arc, Mutex};

use popwire::{Connector, Error, Login, Tls, TraceLevel};
use popwire_server::{Answer, Maildrop, Server};

use crate::setting::{MAIL, PASSWORD, ca, shown, tls};

const GREETING: &str = "+OK ready <1896.697170952@dbc.mtview.ca.us>\r\n";
const SHARED: &str = "tanstaaf";
const DIGEST: &str = "c4c9334bac560ecc979e58001b3e22fb";
/// `\0alice\0s3cret pass` and `s3cret pass` in base64.
const INITIAL: &str = "AGFsaWNlAHMzY3JldCBwYXNz";
const RESPONSE: &str = "czNjcmV0IHBhc3M=";

/// All that a session shows: what its trace says, and what this test adds.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<String>>);

impl Shown {
    fn connector(&self, server: &Server) -> Connector {
        let all = Arc::clone(&self.0);
        tls(server).trace(TraceLevel::Bodies, move |event| {
            all.lock().unwrap().push_str(&format!("{event}\n{event:?}\n{event:#?}\n"));
        })
    }

    fn add(&self, what: impl std::fmt::Debug) {
        self.0.lock().unwrap().push_str(&format!("{what:?}\n{what:#?}\n"));
    }

    fn error<T: std::fmt::Debug>(&self, answer: Result<T, Error>) {
        self.0.lock().unwrap().push_str(&shown(&answer.unwrap_err()));
    }

    /// Finds no secret in any coat; and finds this, so that the search is known to look at something.
    #[track_caller]
    fn holds_no_secret_but(&self, known: &[&str]) {
        let all = self.0.lock().unwrap();
        for secret in [PASSWORD, SHARED, DIGEST, INITIAL, RESPONSE, "s3cret"] {
            let octets = secret.as_bytes();
            let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
            let decimal = format!("{octets:?}");
            let list = decimal.trim_matches(['[', ']']).to_owned();
            let lines = list.replace(", ", ",\n");
            let escaped: String = octets.iter().map(|octet| format!("\\x{octet:02x}")).collect();
            let base64 = base64(octets);
            for coat in [
                secret.to_owned(),
                hex.clone(),
                hex.to_uppercase(),
                list,
                lines,
                escaped,
                base64.trim_end_matches('=').to_owned(),
            ] {
                let unindented = all.lines().map(str::trim_start).collect::<Vec<_>>().join("\n");
                if let Some(at) = unindented.find(&coat) {
                    let (from, to) = (
                        unindented.floor_boundary(at.saturating_sub(100)),
                        unindented.floor_boundary(at + 100),
                    );
                    panic!("{secret:?} as {coat:?} in ...{}...", &unindented[from..to]);
                }
            }
        }
        for known in known {
            assert!(all.contains(known), "{known:?} is not in {all}");
        }
    }
}

trait FloorBoundary {
    fn floor_boundary(&self, at: usize) -> usize;
}

impl FloorBoundary for str {
    fn floor_boundary(&self, at: usize) -> usize {
        (0..=at.min(self.len())).rev().find(|at| self.is_char_boundary(*at)).unwrap_or(0)
    }
}

fn base64(octets: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |three: u32, shift: u32| LETTERS[(three >> shift & 63) as usize] as char;
    octets
        .chunks(3)
        .flat_map(|chunk| {
            let three =
                chunk.iter().chain(&[0, 0]).take(3).fold(0_u32, |sum, octet| sum << 8 | u32::from(*octet));
            let all = [letter(three, 18), letter(three, 12), letter(three, 6), letter(three, 0)];
            (0..4).map(move |n| if n <= chunk.len() { all[n] } else { '=' })
        })
        .collect()
}

fn server() -> popwire_server::Builder {
    Server::builder()
        .user("alice", PASSWORD, Maildrop::memory(MAIL))
        .user("bob", SHARED, Maildrop::memory(MAIL))
        .apop(true)
        .greeting(GREETING)
}

case! {
    fn p_133_a_login_shows_no_password() {
        let server = server().start().unwrap();
        let all = Shown::default();
        let connector = all.connector(&server);
        let login = Login::password("alice", PASSWORD);
        all.add((&login, &connector));
        let mut client = go!(Client::connect(&connector)).unwrap();
        go!(client.login(&login)).unwrap();
        all.add(&client);
        assert_eq!(go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap(), MAIL[0].as_bytes());
        go!(client.uidl()).unwrap();
        all.add(&client);
        all.add(go!(client.quit()));
        // Bodies are shown at this level, so the rest of the trace is there too.
        all.holds_no_secret_but(&["C: USER alice", "C: PASS ********", "S: +OK", "104, 101, 108, 108, 111"]);
    }

    fn p_133_apop_shows_neither_secret_nor_digest() {
        let server = server().start().unwrap();
        let all = Shown::default();
        let mut client = go!(Client::connect(&all.connector(&server))).unwrap();
        let login = Login::apop("bob", SHARED);
        all.add(&login);
        go!(client.login(&login)).unwrap();
        all.add(&client);
        assert!(server.last_session().unwrap().client_lines().contains(&format!("APOP bob {DIGEST}")));
        all.holds_no_secret_but(&["C: APOP bob ********"]);
    }

    fn p_133_auth_shows_no_response() {
        let server = server()
            .script("AUTH LOGIN", "+ VXNlcm5hbWU6\r\n")
            .script(RESPONSE, format!("-ERR what is {RESPONSE}?\r\n"))
            .script("AUTH", format!("-ERR no such command: AUTH PLAIN {INITIAL}\r\n"))
            .start()
            .unwrap();
        let all = Shown::default();
        let mut client = go!(Client::connect(&all.connector(&server))).unwrap();
        all.error(go!(client.auth("PLAIN", Some(INITIAL.into()))));
        all.error(go!(client.raw(format!("AUTH PLAIN {INITIAL}"))));
        go!(client.auth("LOGIN", None)).unwrap();
        all.error(go!(client.auth_response(RESPONSE)));
        assert!(server.last_session().unwrap().client_lines().contains(&RESPONSE.to_owned()));
        all.holds_no_secret_but(&["C: AUTH PLAIN", "C: AUTH LOGIN", "withheld"]);
    }

    fn p_133_a_server_that_repeats_the_password_in_its_refusal() {
        let server = server()
            .script("PASS", format!("-ERR [AUTH] PASS {PASSWORD} is wrong\r\n"))
            .script("APOP", format!("-ERR [IN-USE] {DIGEST} {DIGEST}\r\n"))
            .start()
            .unwrap();
        let all = Shown::default();
        let mut client = go!(Client::connect(&all.connector(&server))).unwrap();
        let error = go!(client.login(&Login::password("alice", PASSWORD))).unwrap_err();
        // What its code says is not lost.
        assert!(error.is_authentication());
        all.error(Err::<(), _>(error));
        let error = go!(client.login(&Login::apop("bob", SHARED))).unwrap_err();
        assert!(error.is_in_use());
        all.error(Err::<(), _>(error));
        all.error(go!(client.raw(format!("PASS {PASSWORD}"))));
        all.holds_no_secret_but(&["withheld"]);
    }

    fn p_133_a_server_that_repeats_the_password_in_its_consent() {
        let server = server()
            .script("PASS", Answer::raw(format!("+OK {PASSWORD} accepted\r\n")).and_do())
            .start()
            .unwrap();
        let all = Shown::default();
        let mut client = go!(Client::connect(&all.connector(&server))).unwrap();
        all.add(go!(client.login(&Login::password("alice", PASSWORD))).unwrap());
        all.holds_no_secret_but(&["withheld"]);
    }

    fn p_133_a_server_that_echoes_the_line() {
        let server = server().script("PASS", format!("PASS {PASSWORD}\r\n-ERR what?\r\n")).start().unwrap();
        let all = Shown::default();
        let mut client = go!(Client::connect(&all.connector(&server))).unwrap();
        let error = go!(client.login(&Login::password("alice", PASSWORD))).unwrap_err();
        assert!(error.is_protocol(), "{error:?}");
        all.error(Err::<(), _>(error));
        all.error(go!(client.noop()));
        all.holds_no_secret_but(&["PASS ********"]);
    }

    fn p_133_a_server_that_echoes_the_line_after_its_answer() {
        let server = server()
            .script("PASS", format!("-ERR wrong\r\n-ERR unknown: PASS {PASSWORD}\r\n"))
            .start()
            .unwrap();
        let all = Shown::default();
        let mut client = go!(Client::connect(&all.connector(&server))).unwrap();
        all.error(go!(client.login(&Login::password("alice", PASSWORD))));
        all.error(go!(client.noop()));
        all.holds_no_secret_but(&["PASS ********"]);
    }

    fn p_133_debug_of_a_client_shows_nothing_that_it_received() {
        let server = server()
            .script("PASS", Answer::raw(format!("+OK {PASSWORD} accepted\r\n")).and_do())
            .start()
            .unwrap();
        let all = Shown::default();
        let mut client = go!(Client::connect(&all.connector(&server))).unwrap();
        go!(client.login(&Login::password("alice", PASSWORD))).unwrap();
        all.add(&client);
        all.holds_no_secret_but(&["withheld"]);
        let debug = format!("{client:?}");
        assert!(debug.len() < 16_000, "a receive buffer is in it: {} octets", debug.len());
    }

    fn p_133_a_raw_login_shows_no_secret() {
        let server = server().start().unwrap();
        let all = Shown::default();
        let mut client = go!(Client::connect(&all.connector(&server))).unwrap();
        go!(client.raw("USER alice")).unwrap();
        go!(client.raw(format!("pass {PASSWORD}"))).unwrap();
        all.add(&client);
        all.holds_no_secret_but(&["C: USER alice", "C: pass ********"]);
    }

    fn p_133_a_raw_exchange_shows_no_response() {
        let server = server()
            .script("AUTH LOGIN", "+ VXNlcm5hbWU6\r\n")
            .script(RESPONSE, "-ERR no\r\n")
            .start()
            .unwrap();
        let all = Shown::default();
        let mut client = go!(Client::connect(&all.connector(&server))).unwrap();
        assert_eq!(go!(client.raw("AUTH LOGIN")).unwrap().status(), popwire::Status::Continue);
        let _ = go!(client.raw(RESPONSE));
        all.holds_no_secret_but(&["C: AUTH"]);
    }

    fn p_133_a_client_key_is_not_shown() {
        let server = server().start().unwrap();
        let all = Shown::default();
        let settings = ca(&server).with_client_certificate(server.ca_pem().as_bytes(), PASSWORD).unwrap();
        let connector = all.connector(&server).tls(settings.clone());
        all.add((&settings, &connector));
        all.error(go!(Client::connect(&connector)));
        all.error(Tls::new().with_pinned_key(PASSWORD));
        all.holds_no_secret_but(&["there is no private key"]);
    }

    fn p_133_refusals_of_our_own_show_no_secret() {
        let server = server().start().unwrap();
        let all = Shown::default();
        let mut client = go!(Client::connect(&all.connector(&server))).unwrap();
        go!(client.user("alice")).unwrap();
        all.error(go!(client.pass(format!("{PASSWORD}\r\n"))));
        all.error(go!(client.pass(PASSWORD.repeat(40))));
        all.error(go!(client.auth_response(RESPONSE)));
        all.error(go!(client.raw(format!("PASS {PASSWORD}\n"))));
        all.error(go!(client.login(&Login::password("alice", format!("{PASSWORD}\u{e9}")))));
        all.add(&client);
        all.holds_no_secret_but(&["nothing was sent"]);
    }

    fn p_133_levels_show_what_they_say() {
        let server = server().start().unwrap();
        let all = Shown::default();
        let mut client = go!(Client::connect(&all.connector(&server))).unwrap();
        go!(client.login(&Login::password("alice", PASSWORD))).unwrap();
        client.set_trace_level(TraceLevel::Lines);
        all.0.lock().unwrap().clear();
        go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap();
        go!(client.uidl()).unwrap();
        let lines = std::mem::take(&mut *all.0.lock().unwrap());
        assert!(
            lines.contains("C: RETR 1") && lines.contains("S: 1 ") && !lines.contains("of the message)"),
            "{lines}"
        );
        client.set_trace_level(TraceLevel::Off);
        go!(client.noop()).unwrap();
        assert_eq!(*all.0.lock().unwrap(), "");
    }
}
