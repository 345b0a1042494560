//! The authorization state: section 2.

use std::time::{Duration, Instant};

use popwire_proto::{Secret, apop};
use popwire_server::{Maildrop, Mechanism, Server};

use crate::talk::{ONE, SOON, Talk, alice, server};

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn p_033_lock_is_exclusive_and_in_use_is_said() {
    let server = server();
    let mut first = Talk::alice(&server);
    let mut second = Talk::plain(&server);
    second.run(
        "S: +OK *
         C: USER alice
         S: +OK *
         C: PASS s3cret pass
         S: -ERR [IN-USE] *",
    );
    first.run("C: QUIT\nS: +OK *");
    // The lock is free when QUIT is answered.
    second.run("C: USER alice\nS: +OK *\nC: PASS s3cret pass\nS: +OK *");
}

#[test]
fn p_033_a_dropped_connection_releases_the_lock() {
    let server = server();
    drop(Talk::alice(&server));
    assert!(server.wait_closed(1, SOON));
    Talk::alice(&server).run("C: STAT\nS: +OK 2 50");
}

#[test]
fn p_034_numbers_are_fixed_at_login() {
    let server = server();
    let maildrop = server.maildrop("alice").unwrap();
    let mut talk = Talk::alice(&server);
    maildrop.deliver("late\r\n").unwrap();
    talk.run(
        "C: DELE 1
         S: +OK *
         C: LIST
         S: +OK *
         S: 2 28
         S: .
         C: LIST 3
         S: -ERR *
         C: QUIT
         S: +OK *",
    );
    Talk::alice(&server).run("C: LIST\nS: +OK *\nS: 1 28\nS: 2 6\nS: .");
}

#[test]
fn p_035_a_refused_login_holds_no_lock() {
    // A maildrop whose root is a file cannot be listed.
    let file = tempfile::NamedTempFile::new().unwrap();
    let maildrop = Maildrop::maildir(file.path());
    let server = Server::builder().user("alice", "s3cret pass", maildrop.clone()).start().unwrap();
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK *\nC: USER alice\nS: +OK *\nC: PASS s3cret pass\nS: -ERR [SYS/TEMP] *");
    assert!(!maildrop.is_locked());
    talk.run("C: QUIT\nS: +OK *");
}

#[test]
fn p_036_after_a_refused_login_another_may_be_tried() {
    let server = server();
    Talk::plain(&server).run(
        "S: +OK *
         C: USER alice
         S: +OK *
         C: PASS wrong
         S: -ERR [AUTH] wrong name or password
         C: PASS s3cret pass
         S: -ERR USER comes first
         C: USER alice
         S: +OK *
         C: PASS s3cret pass
         S: +OK *",
    );
}

#[test]
fn p_038_quit_before_login_closes() {
    let server = server();
    Talk::plain(&server).run("S: +OK *\nC: QUIT\nS: +OK *\nS: <EOF>");
    assert_eq!(server.maildrop("alice").unwrap().len().unwrap(), 2);
}

#[test]
fn p_040_a_password_is_everything_after_one_space() {
    for password in ["a b  c", " leading", "trailing ", "", "caf\u{e9}"] {
        let server = Server::builder().user("bob", password, Maildrop::empty()).start().unwrap();
        Talk::plain(&server).run(&format!("S: +OK *\nC: USER bob\nS: +OK *\nC: PASS {password}\nS: +OK *"));
        assert_eq!(server.last_session().unwrap().client_lines()[1], format!("PASS {password}"));
    }
}

#[test]
fn p_041_names_do_not_leak() {
    let server = server();
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK *\nC: USER nobody\nS: +OK send PASS\nC: PASS x\nS: -ERR [AUTH] wrong name or password");
    talk.run("C: USER alice\nS: +OK send PASS\nC: PASS x\nS: -ERR [AUTH] wrong name or password");
}

#[test]
fn p_042_apop_timestamps_are_message_ids_and_never_the_same() {
    let server = alice().apop(true).start().unwrap();
    let timestamps: Vec<Vec<u8>> = (0..3)
        .map(|_| {
            let greeting = Talk::plain(&server).line();
            apop::timestamp(&greeting).expect("a timestamp").to_vec()
        })
        .collect();
    assert!(timestamps[0] != timestamps[1] && timestamps[1] != timestamps[2]);

    let mut talk = Talk::plain(&server);
    let greeting = talk.line();
    let digest = apop::digest(apop::timestamp(&greeting).unwrap(), &Secret::from("s3cret pass"));
    let digest = String::from_utf8(digest.expose().to_vec()).unwrap();
    talk.run(&format!(
        "C: APOP alice {}\nS: -ERR [AUTH] *\nC: APOP alice {digest}\nS: +OK *\nC: STAT\nS: +OK 2 50",
        "0".repeat(32)
    ));
}

#[test]
fn p_042_the_rfcs_own_example() {
    let server = Server::builder()
        .user("mrose", "tanstaaf", Maildrop::memory([ONE]))
        .apop(true)
        .greeting("+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>\r\n")
        .start()
        .unwrap();
    Talk::plain(&server).run(
        "S: +OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>
         C: APOP mrose c4c9334bac560ecc979e58001b3e22fb
         S: +OK maildrop has 1 messages (22 octets)",
    );
}

#[test]
fn p_042_without_apop_there_is_no_timestamp() {
    let server = server();
    let mut talk = Talk::plain(&server);
    assert!(apop::timestamp(&talk.line()).is_none());
    talk.run("C: APOP alice c4c9334bac560ecc979e58001b3e22fb\nS: -ERR *");
}

#[test]
fn p_048_before_tls_all_credentials_are_refused_alike() {
    let server = alice().require_tls(true).apop(true).start().unwrap();
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK *");
    for command in ["USER alice", "USER nobody", "APOP alice x", "APOP nobody x", "RPOP alice"] {
        talk.run(&format!("C: {command}\nS: -ERR TLS is required before login"));
    }
    talk.run("C: PASS s3cret pass\nS: -ERR USER comes first\nC: PASS wrong\nS: -ERR USER comes first");
    let mut talk = Talk::tls(&server);
    talk.run("S: +OK *\nC: USER alice\nS: +OK *\nC: PASS s3cret pass\nS: +OK *");
}

#[test]
fn p_170_rpop_is_refused_unless_it_is_to_be_honoured() {
    Talk::plain(&server()).run("S: +OK *\nC: RPOP alice\nS: -ERR RPOP is not honoured");
    let server = alice().rpop(["alice", "root"]).start().unwrap();
    Talk::plain(&server)
        .run("S: +OK *\nC: RPOP bob\nS: -ERR [AUTH] *\nC: RPOP alice\nS: +OK *\nC: QUIT\nS: +OK *");
    Talk::plain(&server)
        .run("S: +OK *\nC: USER alice\nS: +OK *\nC: RPOP root\nS: +OK *\nC: STAT\nS: +OK 2 50");
}

#[test]
fn p_085_logins_are_apart() {
    let server = alice().user("bob", "b", Maildrop::empty()).login_delay(ms(400)).start().unwrap();
    let login = "S: +OK *\nC: USER alice\nS: +OK *\nC: PASS s3cret pass\n";
    let mut first = Talk::plain(&server);
    first.run(login).run("S: +OK *\nC: QUIT\nS: +OK *");
    let mut again = Talk::plain(&server);
    again.run(login).run("S: -ERR [LOGIN-DELAY] too soon: logins must be 0.4 s apart");
    // Each maildrop has a time of its own; a wrong password is one before it is too early.
    Talk::plain(&server).run("S: +OK *\nC: USER bob\nS: +OK *\nC: PASS b\nS: +OK *");
    Talk::plain(&server).run("S: +OK *\nC: USER alice\nS: +OK *\nC: PASS wrong\nS: -ERR [AUTH] *");
    std::thread::sleep(ms(400));
    // The one that was refused did not count.
    again.run("C: USER alice\nS: +OK *\nC: PASS s3cret pass\nS: +OK *");
}

#[test]
fn p_085_the_time_between_logins_is_announced_in_whole_seconds() {
    for (delay, line) in [(ms(0), None), (ms(1), Some("LOGIN-DELAY 1")), (ms(60_000), Some("LOGIN-DELAY 60"))]
    {
        let server = alice().login_delay(delay).start().unwrap();
        let mut talk = Talk::alice(&server);
        talk.run("C: CAPA\nS: +OK *");
        let lines = talk.body();
        assert_eq!(lines.lines().find(|line| line.starts_with("LOGIN-DELAY")), line);
    }
}

#[test]
fn a_session_has_so_many_logins() {
    let server = alice().apop(true).sasl([Mechanism::Plain]).max_failed_logins(4).start().unwrap();
    Talk::plain(&server).run(
        "S: +OK *
         C: USER alice
         S: +OK *
         C: PASS wrong
         S: -ERR [AUTH] wrong name or password
         C: APOP nobody x
         S: -ERR [AUTH] wrong name or password
         C: AUTH PLAIN
         S: + *
         C: *
         S: -ERR cancelled
         C: AUTH PLAIN AGEAYg==
         S: -ERR [AUTH] wrong name or password; goodbye
         S: <EOF>",
    );
    // By default it is ten.
    let server = self::server();
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK *");
    for _ in 1..10 {
        talk.run("C: USER alice\nS: +OK *\nC: PASS wrong\nS: -ERR [AUTH] wrong name or password");
    }
    talk.run(
        "C: USER alice\nS: +OK *\nC: PASS wrong\nS: -ERR [AUTH] wrong name or password; goodbye\nS: <EOF>",
    );
}

#[test]
fn a_refusal_may_wait() {
    let server = alice().sasl([Mechanism::Plain]).refusal_delay(ms(300)).start().unwrap();
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK *");
    for wrong in ["USER alice\nS: +OK *\nC: PASS wrong", "AUTH PLAIN AGEAYg=="] {
        let start = Instant::now();
        talk.run(&format!("C: {wrong}\nS: -ERR [AUTH] *"));
        assert!(start.elapsed() >= ms(300), "{:?}", start.elapsed());
    }
    let start = Instant::now();
    talk.run("C: USER alice\nS: +OK *\nC: PASS s3cret pass\nS: +OK *");
    assert!(start.elapsed() < ms(300), "{:?}", start.elapsed());
}
