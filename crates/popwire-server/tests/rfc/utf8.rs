//! UTF8 and LANG: section 7.

use popwire_server::{Maildrop, Server};

use crate::talk::{Talk, alice, server};

const RAW: &str = "Subject: gr\u{fc}n\r\n\r\nbody\r\n";

fn utf8_server() -> Server {
    let maildrop = Maildrop::memory([RAW, "Subject: plain\r\n\r\nb\u{f6}dy\r\n"]);
    Server::builder().user("alice", "s3cret pass", maildrop).utf8(true).start().unwrap()
}

#[test]
fn p_153_messages_that_need_utf8_are_refused_without_it() {
    Talk::alice(&utf8_server()).run(
        "C: RETR 1
         S: -ERR [UTF8] *
         C: TOP 1 0
         S: -ERR [UTF8] *
         C: LIST 1
         S: -ERR [UTF8] *
         C: LIST 2
         S: +OK 2 25
         C: TOP 2 0
         S: +OK *
         S: Subject: plain
         S:
         S: .",
    );
}

#[test]
fn p_156_with_utf8_they_are_sent_and_sizes_are_octets() {
    let server = utf8_server();
    let mut talk = Talk::plain(&server);
    talk.run(
        "S: +OK *
         C: CAPA
         S: +OK *",
    );
    assert!(talk.body().contains("UTF8 USER\r\n"));
    talk.run(&format!(
        "C: UTF8
         S: +OK *
         C: USER alice
         S: +OK *
         C: PASS s3cret pass
         S: +OK *
         C: UTF8
         S: -ERR *
         C: LIST 1
         S: +OK 1 {}
         C: RETR 1
         S: +OK *",
        RAW.len(),
    ));
    assert_eq!(talk.body(), RAW);
}

#[test]
fn p_145_utf8_mode_does_not_outlive_stls() {
    let server = utf8_server();
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK *\nC: UTF8\nS: +OK *\nC: STLS\nS: +OK *");
    talk.start_tls(&server).run(
        "C: USER alice
         S: +OK *
         C: PASS s3cret pass
         S: +OK *
         C: RETR 1
         S: -ERR [UTF8] *",
    );
}

#[test]
fn p_155_ill_formed_utf8_is_refused() {
    let server =
        Server::builder().user("j\u{fc}rgen", "pa\u{df}", Maildrop::empty()).utf8(true).start().unwrap();
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK *");
    talk.send(b"USER j\xfcrgen\r\n");
    talk.run("S: -ERR *\nC: USER j\u{fc}rgen\nS: +OK *");
    talk.send(b"PASS pa\xdf\r\n");
    talk.run("S: -ERR [AUTH] *\nC: USER j\u{fc}rgen\nS: +OK *\nC: PASS pa\u{df}\nS: +OK *");
}

#[test]
fn p_157_lang_in_both_states() {
    let server = alice().lang([("en", "English"), ("de", "Deutsch")]).start().unwrap();
    let conversation = "C: LANG
         S: +OK *
         S: en English
         S: de Deutsch
         S: .
         C: LANG DE
         S: +OK de Deutsch
         C: LANG *
         S: +OK en English
         C: LANG xx
         S: -ERR no such language";
    Talk::plain(&server).run("S: +OK *").run(conversation);
    Talk::alice(&server).run(conversation);
}

#[test]
fn utf8_and_lang_are_off_unless_asked_for() {
    Talk::plain(&server()).run("S: +OK *\nC: UTF8\nS: -ERR *\nC: LANG\nS: -ERR *\nC: LANG en\nS: -ERR *");
    // Without the capability messages are shown as they are.
    let server = Server::builder().user("alice", "s3cret pass", Maildrop::memory([RAW])).start().unwrap();
    let mut talk = Talk::alice(&server);
    talk.run("C: RETR 1\nS: +OK *");
    assert_eq!(talk.body(), RAW);
}
