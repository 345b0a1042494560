// Servers that are not in order, each in one way.

use crate::rows::{Row, listings, logins, mail, opening};
use crate::stage::{hasty, ids, options};

helper! {
    fn all(rows: Vec<Row>) {
        let mut wrong = Vec::new();
        for Row { what, server, connect, login, retr, expected } in rows {
            let server = server.start().unwrap();
            let report = go!(probe(&hasty(connect(&server)), &login, options().retr(retr))).unwrap();
            if ids(&report) != expected {
                wrong.push(format!("{what}: not {expected:?} but {:#?}\n{:?}", report.findings, report.error));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

case! {
    fn the_opening() {
        go!(all(opening()));
    }

    fn the_login() {
        go!(all(logins()));
    }

    fn the_listings() {
        go!(all(listings()));
    }

    fn the_mail_and_the_end() {
        go!(all(mail()));
    }
}
