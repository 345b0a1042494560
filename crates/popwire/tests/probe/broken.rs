// Servers that lose commands, are slow, lock, or hang up.

use std::time::Instant;

use popwire::probe::Outcome;
use popwire::{Login, Method, Security};
use popwire_server::Answer;

use crate::actor::{Act, answer, say};
use crate::setting::{PASSWORD, login, ms, plain, tls, took};
use crate::stage::{alice, hasty, ids, options};
use crate::troupe::Troupe;

/// The session of a server that has neither CAPA nor mail, up to the commands that come in one write.
fn session() -> Vec<Act> {
    let mut script = vec![say("+OK ready\r\n")];
    let mut hear = |octets: &str| script.extend(answer(octets));
    hear("-ERR unknown\r\n"); // CAPA
    hear("-ERR unknown\r\n"); // AUTH
    hear("+OK\r\n"); // USER
    hear("+OK\r\n"); // PASS
    hear("+OK 0 0\r\n"); // STAT
    hear("+OK none\r\n.\r\n"); // LIST
    hear("+OK none\r\n.\r\n"); // UIDL
    hear("+OK\r\n"); // RSET
    (0..5).for_each(|_| hear("+OK\r\n")); // NOOP
    script
}

case! {
    fn q_136_commands_that_come_together_are_lost() {
        let troupe = Troupe::play(|nth| {
            let mut script = session();
            match nth {
                // The first of them is answered.
                0 => script.extend([Act::Hear, Act::Hear, Act::Hear, say("+OK\r\n")]),
                _ => {
                    script = vec![say("+OK ready\r\n")];
                    ["+OK\r\n"; 3].into_iter().for_each(|line| script.extend(answer(line)));
                    script.push(Act::Close);
                }
            }
            script
        });
        let report = go!(probe(&hasty(troupe.connector()), &login(), options())).unwrap();
        assert_eq!(ids(&report), ["Q-001", "Q-136"], "{:#?}", report.findings);
        let lines = troupe.lines();
        assert_eq!(lines[0].last_chunk(), Some(&["NOOP"; 3].map(str::to_owned)));
        // QUIT is asked over another connection; a server without CAPA is not asked for it again.
        let again = ["USER alice".to_owned(), format!("PASS {PASSWORD}"), "QUIT".to_owned()];
        assert_eq!((lines.len(), lines[1].as_slice()), (2, again.as_slice()));
        // No more than two commands that a server may not know.
        let unknown = |line: &&String| ["CAPA", "AUTH", "LAST"].contains(&line.as_str());
        assert_eq!(lines[0].iter().filter(unknown).count(), 2, "{lines:?}");
    }

    fn q_136_commands_that_come_together_are_refused() {
        let troupe = Troupe::play(|_| {
            let mut script = session();
            script.extend([Act::Hear, Act::Hear, Act::Hear, say("+OK\r\n-ERR one at a time\r\n-ERR one at a time\r\n")]);
            script.extend(answer("+OK bye\r\n"));
            script
        });
        let report = go!(probe(&hasty(troupe.connector()), &login(), options())).unwrap();
        assert_eq!(ids(&report), ["Q-001", "Q-136"], "{:#?}", report.findings);
        assert_eq!(report.connections, 1);
    }

    fn q_047_a_slow_login_is_told() {
        let server = alice().script("PASS", Answer::raw("+OK\r\n").after(ms(250)).and_do()).start().unwrap();
        let login = login().methods([Method::UserPass]);
        let report = go!(probe(&tls(&server), &login, options().slow(ms(200)))).unwrap();
        assert_eq!(ids(&report), ["Q-047"], "{:#?}", report.findings);
    }

    fn q_116_a_message_that_is_long_in_coming_is_told() {
        let late = Answer::raw("+OK\r\nSubject: 3\r\n\r\n.\r\n").after(ms(250));
        let server = alice().script("TOP 3 0", late).start().unwrap();
        let report = go!(probe(&tls(&server), &login(), options().slow(ms(200)))).unwrap();
        assert_eq!(ids(&report), ["Q-116"], "{:#?}", report.findings);
    }

    fn q_129_a_maildrop_that_stays_locked_is_told() {
        let server = alice()
            .script("UIDL", Answer::raw("+OK\r\n1 a\r\n").then_cut())
            .script("PASS", Answer::raw("-ERR [IN-USE] locked\r\n").nth_overall(2))
            .start()
            .unwrap();
        let login = login().methods([Method::UserPass]);
        let report = go!(probe(&tls(&server), &login, options())).unwrap();
        assert_eq!(ids(&report), ["Q-129", "Q-079"], "{:#?}", report.findings);
        // Somebody got in before; what was seen then is the report.
        assert!(report.error.is_none());
    }

    fn a_server_that_hangs_up_on_everything_is_left_in_peace() {
        let words = ["STAT", "LIST", "UIDL", "TOP", "RSET", "NOOP", "LAST", "QUIT"];
        let hang_up = |server: popwire_server::Builder, word: &&str| server.script(word, Answer::raw("").then_cut());
        let server = words.iter().fold(alice(), hang_up).start().unwrap();
        let report = go!(probe(&tls(&server), &login(), options())).unwrap();
        assert!(report.connections <= 6, "{}", report.connections);
        let odd = report.checks.iter().filter(|check| check.outcome == Outcome::Odd).count();
        assert!(odd >= 3, "{:#?}", report.checks);
    }

    fn a_server_that_is_silent_costs_no_more_than_the_time_for_all() {
        let server = alice().script("LIST", Answer::raw("").then_hang()).start().unwrap();
        let begun = Instant::now();
        let report = go!(probe(&tls(&server), &login(), options().time(ms(600)))).unwrap();
        took(begun, 600..2500);
        assert!(report.greeting.is_some() && report.error.is_none());
    }

    fn a_server_that_talks_out_of_turn_for_ever_lets_nobody_in() {
        let words = || {
            let mut script = vec![say("+OK ready\r\n")];
            script.extend(answer("-ERR unknown\r\n+OK and more\r\n"));
            script
        };
        let troupe = Troupe::play(move |_| words());
        let report = go!(probe(&hasty(troupe.connector()), &login(), options())).unwrap();
        assert!(report.error.is_some() && report.logged_in_by.is_none(), "{report:?}");
        assert!(report.connections <= 6, "{}", report.connections);
    }

    fn nobody_is_there_to_report_on() {
        let server = alice().start().unwrap();
        let connector = tls(&server);
        drop(server);
        let error = go!(probe(&connector, &login(), options())).unwrap_err();
        assert!(error.is_io(), "{error}");
    }

    fn a_refused_login_still_gives_a_report() {
        let server = alice().start().unwrap();
        let report = go!(probe(&tls(&server), &Login::password("alice", "wrong"), options())).unwrap();
        assert!(report.error.as_ref().unwrap().is_authentication());
        assert!(report.capabilities.before_login.is_some() && report.logged_in_by.is_none());
        assert!(!format!("{report:?}").contains("wrong"));
    }

    fn a_login_that_may_not_go_out_is_not_sent() {
        let server = alice().start().unwrap();
        let connector = crate::setting::on_plain_port(&server, Security::Plain);
        let report = go!(probe(&connector, &login(), options())).unwrap();
        assert!(report.error.as_ref().unwrap().is_login_in_the_clear());
        assert_eq!(ids(&report), [""; 0], "{:#?}", report.findings);
        let lines = crate::setting::said(&server);
        assert!(!lines.iter().any(|line| line.starts_with("PASS")), "{lines:?}");
    }

    fn the_steps_are_told() {
        let server = alice().start().unwrap();
        let steps = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let told = std::sync::Arc::clone(&steps);
        let options = options().on_step(move |doing| told.lock().unwrap().push(doing.to_owned()));
        go!(probe(&plain(&server), &login(), options)).unwrap();
        let steps = steps.lock().unwrap();
        assert_eq!((steps.first().unwrap().as_str(), steps.last().unwrap().as_str()), ("connecting", "signing off"));
    }
}
