// Every knob of the embedded server that can be seen from outside, and what the probe is to say of it.

use popwire::{Connector, Login, Mechanism, Method, Security};
use popwire_server::{Builder, Maildrop, Server};

use crate::setting::{PASSWORD, login, on_plain_port, tls};
use crate::stage::{alice, hasty, ids, options};

/// Over TLS, as alice, by PLAIN.
const KNOBS: &[(&[&str], &[&str])] = &[
    (&["capa=close"], &["Q-001"]),
    (&["capa=hang"], &["Q-001"]),
    (&["capa=garbage"], &["Q-001"]),
    (&["capa=err", "bare_auth=1"], &["Q-001", "Q-039"]),
    (&["capa_after_login=err"], &["Q-002"]),
    (&["capa_after_login=err", "ok_text=empty"], &["Q-002", "Q-004"]),
    (&["capa_omit=UIDL"], &["Q-003"]),
    (&["capa_omit=TOP"], &["Q-003"]),
    (&["ok_text=empty"], &["Q-004"]),
    (&["capa_trailing_ws=1"], &["Q-008"]),
    (&["capa_flood=1000"], &["Q-010"]),
    (&["uidl_flood=5000"], &["Q-010"]),
    (&["stat_count=2147483647"], &["Q-010"]),
    (&["capa_line=..X"], &["Q-011"]),
    (&["greeting=exchange"], &["Q-012"]),
    (&["greeting=apop_bad1"], &["Q-013"]),
    (&["greeting=apop_bad2"], &["Q-013"]),
    (&["greeting=err"], &["Q-015"]),
    (&["greeting=imap"], &["Q-015"]),
    (&["greeting=smtp"], &["Q-015"]),
    (&["greeting=tls"], &["Q-015"]),
    (&["auth_fail_text=unavailable21"], &["Q-029"]),
    (&["auth_fail_text=yahoo"], &["Q-146"]),
    (&["resp_code=REFERRAL"], &["Q-046"]),
    (&["lock_after_drop=30", "uidl_cut_after=7"], &["Q-079", "Q-129"]),
    (&["stat=login_delay"], &["Q-043"]),
    (&["login_delay=60", "uidl_cut_after=7"], &["Q-044", "Q-079"]),
    (&["login_delay=900", "code=none", "uidl_cut_after=7"], &["Q-049", "Q-079"]),
    (&["in_use=1"], &["Q-045"]),
    (&["stat_size=-1024"], &["Q-061"]),
    (&["stat=garbage1"], &["Q-062"]),
    (&["stat=garbage2"], &["Q-062"]),
    (&["stat=garbage3"], &["Q-062"]),
    (&["list_lines=comcast-error1"], &["Q-064"]),
    (&["list_lines=comcast-error2"], &["Q-064"]),
    (&["list_lines=comcast-error3"], &["Q-064"]),
    (&["uidl_sep=\"  \""], &["Q-065"]),
    (&["uidl_prefix=\"+OK \""], &["Q-066"]),
    (&["uidl1=nonum"], &["Q-067"]),
    (&["uidl1=multiline"], &["Q-067"]),
    (&["uidl_blank=3"], &["Q-068"]),
    (&["uidl_dup=2,5"], &["Q-069"]),
    (&["uidl_weird=long"], &["Q-070"]),
    (&["uidl_weird=space"], &["Q-070"]),
    (&["uidl_weird=8bit"], &["Q-070"]),
    (&["uidl_reuse=1"], &["Q-072"]),
    (&["uidl=err_transient"], &["Q-075"]),
    (&["uidl=none"], &["Q-076"]),
    (&["race_new_mail=1"], &["Q-077"]),
    (&["uidl_cut_after=7"], &["Q-079"]),
    (&["list_size=x0.6"], &["Q-083"]),
    (&["list_size=round1024"], &["Q-084"]),
    (&["list_size=lf"], &["Q-085"]),
    (&["list_size=x3"], &["Q-087"]),
    (&["list_size=4294967295"], &["Q-088"]),
    (&["list_size=const1024"], &["Q-150"]),
    (&["end=nocrlf_dot"], &["Q-090"]),
    (&["end=dot_cr"], &["Q-091"]),
    (&["eol=lf"], &["Q-092"]),
    (&["eol=lf_body"], &["Q-093"]),
    (&["stuff=none"], &["Q-094"]),
    (&["end=extra_blank"], &["Q-097"]),
    (&["end=strip_blank"], &["Q-098"]),
    (&["top_lines=1"], &["Q-107"]),
    (&["top=double_ok"], &["Q-108"]),
    (&["top=none"], &["Q-111"]),
    (&["msg1=folder_internal"], &["Q-113"]),
    (&["hdr_add=X-UIDL"], &["Q-114"]),
    (&["pipeline=drop"], &["Q-136"]),
    (&["last=1"], &["Q-139"]),
    (&["top_err=3"], &["Q-142"]),
    (&["quit=close"], &["Q-132"]),
    (&["quit=close_before"], &["Q-132"]),
    (&["quit=rst"], &["Q-132"]),
    (&["quit=need_newline"], &["Q-134"]),
    // What cannot be seen without deleting, without a second session, or by what is not sent, and is no reason to find
    // something else.
    (&["segment=7"], &[]),
    (&["bare_auth=1"], &[]),
    (&["auth_line_max=4096"], &[]),
    (&["uidl_epoch=next"], &[]),
    (&["dele=ignored"], &[]),
    (&["dele=immediate"], &[]),
    (&["auto_delete=on_quit"], &[]),
    (&["quit=async_delete"], &[]),
    (&["quit=err"], &[]),
    (&["top_arg_max=99999999"], &[]),
    (&["cmd_split=err"], &[]),
    (&["trailing_space=err"], &[]),
    (&["empty_cmd=close"], &[]),
    (&["bad_cmd_max=20"], &[]),
    (&["line_max=500"], &[]),
    (&["small_sndbuf=1"], &[]),
    // Two at once.
    (&["uidl_dup=2,5", "list_size=lf", "quit=close"], &["Q-069", "Q-085", "Q-132"]),
];

/// On the plain port, by STLS.
const BY_STLS: &[(&[&str], &[&str])] = &[
    (&["stls=err"], &["Q-019"]),
    (&["stls=handshake_fail"], &["Q-019"]),
    (&["stls=hang"], &["Q-019"]),
    (&["capa_after_tls=stls"], &["Q-020"]),
    (&["stls_inject=\"+OK fake\\r\\n\""], &["Q-021"]),
    (&["stls_cmd_inject=vulnerable"], &["Q-022"]),
    (&["strip_stls=1"], &["Q-023"]),
];

/// By USER and PASS.
const BY_USER: &[(&[&str], &[&str])] = &[
    (&["pass_reply=+ERR"], &["Q-040"]),
    (&["user=err"], &["Q-053"]),
    (&["apop=required"], &["Q-154"]),
];

/// With a wrong password.
const REFUSED: &[(&[&str], &[&str])] = &[
    (&["auth_fail_text=exo"], &["Q-030"]),
    (&["auth_fail=close"], &["Q-035"]),
    (&["auth_fail_text=generic"], &["Q-048"]),
    (&["err_text=gbk"], &["Q-143"]),
    (&["auth_fail_text=yahoo"], &["Q-146"]),
];

/// While another session has the maildrop.
const LOCKED: &[(&[&str], &[&str])] =
    &[(&["lock_text=qpop"], &["Q-042"]), (&["lock_text=intermail"], &["Q-042"]), (&["segment=7"], &["Q-045"])];

/// With a message read by RETR.
const WITH_RETR: &[(&[&str], &[&str])] = &[
    (&["top_headers=differ"], &["Q-105"]),
    (&["retr_err=3"], &["Q-112"]),
    (&["retr_text_size=wrong"], &["Q-115"]),
];

/// In a mailbox without mail.
const EMPTY: &[(&[&str], &[&str])] = &[(&["empty_list=err"], &["Q-063"])];

/// Whole products have more than one way of their own: these are among what is found.
const PRODUCTS: &[(&str, &[&str])] = &[
    ("comcast", &["Q-062", "Q-065"]),
    ("courier", &["Q-020"]),
    ("exchange", &["Q-012"]),
    ("gmail", &["Q-121"]),
    ("hmail", &["Q-072"]),
    ("james", &["Q-014"]),
    ("minimal", &["Q-001", "Q-076", "Q-111"]),
    ("no_capa", &["Q-001"]),
    ("popa3d", &["Q-001", "Q-139"]),
    ("qmail", &["Q-001", "Q-097", "Q-139"]),
    ("qpop", &["Q-001", "Q-114"]),
    ("twisted", &["Q-067", "Q-085"]),
];

fn with(builder: Builder, quirks: &[&str]) -> Server {
    let set = |builder: Builder, quirk: &&str| builder.quirk(quirk).unwrap_or_else(|error| panic!("{error}"));
    quirks.iter().fold(builder.sasl([Mechanism::Plain]), set).start().unwrap()
}

/// How a table is tried.
struct Trial {
    mail: fn() -> Builder,
    connect: fn(&Server) -> Connector,
    login: Login,
    retr: bool,
    locked: bool,
}

impl Trial {
    fn usual() -> Self {
        Self { mail: alice, connect: tls, login: login(), retr: false, locked: false }
    }
}

helper! {
    fn all(rows: &[(&[&str], &[&str])], trial: Trial) {
        let mut wrong = Vec::new();
        for (quirks, expected) in rows {
            let server = with((trial.mail)(), quirks);
            let _lock = trial.locked.then(|| server.maildrop("alice").unwrap().lock().unwrap());
            let connector = hasty((trial.connect)(&server));
            let report = go!(probe(&connector, &trial.login, options().retr(trial.retr))).unwrap();
            let mut found = ids(&report);
            // The order is that of a session, which a row of two need not know.
            found.sort_unstable();
            if found != *expected {
                wrong.push(format!("{quirks:?}: not {expected:?} but {:#?}\n{:?}", report.findings, report.error));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

case! {
    fn each_knob_is_named() {
        go!(all(KNOBS, Trial::usual()));
    }

    fn each_knob_of_stls_is_named() {
        go!(all(BY_STLS, Trial { connect: |server| on_plain_port(server, Security::Stls), ..Trial::usual() }));
    }

    fn each_knob_of_user_and_pass_is_named() {
        go!(all(BY_USER, Trial { login: login().methods([Method::UserPass]), ..Trial::usual() }));
    }

    fn each_knob_of_a_refusal_is_named() {
        go!(all(REFUSED, Trial { login: Login::password("alice", "another"), ..Trial::usual() }));
    }

    fn each_knob_of_a_locked_maildrop_is_named() {
        go!(all(LOCKED, Trial { locked: true, ..Trial::usual() }));
    }

    fn each_knob_of_whole_messages_is_named() {
        go!(all(WITH_RETR, Trial { retr: true, ..Trial::usual() }));
    }

    fn each_knob_of_an_empty_mailbox_is_named() {
        let empty = || Server::builder().user("alice", PASSWORD, Maildrop::memory([""; 0]));
        go!(all(EMPTY, Trial { mail: empty, ..Trial::usual() }));
    }

    fn products_are_known_by_their_ways() {
        for (name, expected) in PRODUCTS {
            let server = alice().sasl([Mechanism::Plain]).personality(name).unwrap().start().unwrap();
            let report = go!(probe(&hasty(tls(&server)), &login(), options())).unwrap();
            let found = ids(&report);
            let missing: Vec<_> = expected.iter().filter(|id| !found.contains(*id)).collect();
            assert!(missing.is_empty(), "{name}: {missing:?} is not in {found:?}, {:?}", report.error);
        }
    }
}
