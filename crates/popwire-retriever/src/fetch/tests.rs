use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use popwire::{Connector, Login, Pipelining, Security};
use popwire_server::{Answer, Maildrop, QuitReply, Server};

use super::*;
use crate::ledger::SqliteLedger;
use crate::maildir::{Flush, Maildir, MaildirDestination};
use crate::policy::Keep;

mod again;

const MAIL: [&str; 3] =
    ["Subject: 1\r\n\r\none\r\n", "Subject: 2\r\n\r\n.two\r\n", "Subject: 3\r\n\r\n3\r\n"];

/// The terminator without its line end before it: the message may have been cut short.
const BROKEN_END: &str = "+OK\r\nSubject: 2\r\n\r\ntext.\r\n";

struct World {
    server: Server,
    home: tempfile::TempDir,
    ledger: SqliteLedger,
}

/// A server with three messages, and a Maildir.
fn world(describe: impl FnOnce(popwire_server::Builder) -> popwire_server::Builder) -> World {
    let home = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(home.path().join("ledger.sqlite3")).unwrap();
    let builder = Server::builder().user("alice", "s3cret", Maildrop::memory(MAIL));
    World { server: describe(builder).start().unwrap(), home, ledger }
}

impl World {
    fn client(&self) -> Client {
        (self.connect())().unwrap()
    }

    fn connect(&self) -> impl FnMut() -> Result<Client, Box<dyn Error + Send + Sync>> + use<> {
        enter(self.connector())
    }

    fn fetch(&self) -> Fetch<'_> {
        let maildir = Maildir::create(self.home.path().join("Mail")).unwrap();
        let account = AccountKey::new("alice", "127.0.0.1", 110);
        Fetch::new(account, &self.ledger)
            .to(Box::new(MaildirDestination::new(maildir, Flush::Auto)))
            .pause(Duration::ZERO)
    }

    /// Does not wait long for what does not come.
    fn impatient(
        &self,
        pipelining: Pipelining,
    ) -> impl FnMut() -> Result<Client, Box<dyn Error + Send + Sync>> + use<> {
        let mut timeouts = popwire::Timeouts::default();
        timeouts.rescue = Some(Duration::from_millis(50));
        timeouts.first_octet = Duration::from_millis(500);
        timeouts.idle = Duration::from_millis(500);
        enter(self.connector().timeouts(timeouts).pipelining(pipelining))
    }

    fn connector(&self) -> Connector {
        Connector::new("127.0.0.1")
            .port(self.server.addr().port())
            .security(Security::Plain)
            .dangerous_login_without_verified_tls()
    }

    /// The same mail for another server.
    fn maildrop(&self) -> Maildrop {
        self.server.maildrop("alice").unwrap()
    }

    fn lines(&self) -> Vec<String> {
        self.server.last_session().unwrap().client_lines()
    }

    fn left(&self) -> usize {
        assert!(self.server.wait_closed(1, Duration::from_secs(5)));
        self.server.maildrop("alice").unwrap().len().unwrap()
    }

    fn new_files(&self) -> Vec<String> {
        let mut contents: Vec<_> = fs::read_dir(self.home.path().join("Mail/new"))
            .unwrap()
            .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
            .collect();
        contents.sort();
        contents
    }
}

fn enter(connector: Connector) -> impl FnMut() -> Result<Client, Box<dyn Error + Send + Sync>> + use<> {
    move || {
        let mut client = Client::connect(&connector)?;
        client.login(&Login::password("alice", "s3cret"))?;
        Ok(client)
    }
}

/// Looks at the world at every event.
struct Witness<'a> {
    world: &'a World,
    paths: Vec<PathBuf>,
    marked: usize,
    failed: Vec<String>,
}

impl<'a> Witness<'a> {
    fn of(world: &'a World) -> Self {
        Self { world, paths: Vec::new(), marked: 0, failed: Vec::new() }
    }

    fn dele(&self, message: &Listed) -> bool {
        self.world.lines().contains(&format!("DELE {}", message.number))
    }
}

impl Observer for Witness<'_> {
    fn progress(&mut self, message: &Listed, _: u64) {
        assert!(!self.dele(message));
    }

    fn delivered(&mut self, message: &Listed, delivered: &Delivered) {
        assert!(!self.dele(message), "no DELE before the commit");
        let path = PathBuf::from(&delivered.places[0]);
        assert!(path.parent().unwrap().ends_with("Mail/new"));
        assert_eq!(fs::metadata(&path).unwrap().len(), delivered.octets);
        self.paths.push(path);
    }

    fn marked(&mut self, message: &Listed) {
        assert!(self.dele(message));
        assert!(self.paths.len() > self.marked);
        self.marked += 1;
    }

    fn failed(&mut self, failure: &Failure) {
        self.failed.push(format!("{}: {}", failure.message.number, failure.cause));
    }
}

#[test]
fn a_message_is_marked_only_after_it_lies_in_new() {
    let world = world(|server| server);
    let mut witness = Witness::of(&world);
    let summary = world.fetch().keep(Keep::nothing()).run(&mut world.connect(), &mut witness).unwrap();
    assert_eq!((witness.marked, summary.delivered, summary.listed), (3, 3, 3));
    assert!(matches!(summary.deletion, Deletion::Committed { messages: 3 }));
    assert!(summary.is_complete());
    assert_eq!(world.left(), 0);
    assert_eq!(world.new_files(), MAIL);
    let lines = world.lines();
    let order = ["RETR 1", "RETR 2", "RETR 3", "DELE 1", "DELE 2", "DELE 3", "QUIT"];
    assert_eq!(lines[lines.len() - order.len()..], order);
}

#[test]
fn without_delete_no_dele_is_sent() {
    let world = world(|server| server);
    let summary = world.fetch().run(&mut world.connect(), &mut Silent).unwrap();
    assert!(matches!(summary.deletion, Deletion::NoneMarked));
    assert_eq!((summary.delivered, world.left()), (3, 3));
    assert!(!world.lines().iter().any(|line| line.starts_with("DELE")));
}

#[test]
fn the_limit_takes_the_lowest_numbers() {
    let world = world(|server| server);
    let summary = world.fetch().limit(Some(2)).run(&mut world.connect(), &mut Silent).unwrap();
    assert_eq!((summary.delivered, summary.listed), (2, 3));
    assert_eq!(world.new_files(), MAIL[..2]);
}

#[test]
fn a_message_that_is_refused_stays_and_the_rest_goes_on() {
    let world = world(|server| server.script("RETR 2", "-ERR internal error\r\n"));
    let mut witness = Witness::of(&world);
    let summary = world.fetch().keep(Keep::nothing()).run(&mut world.connect(), &mut witness).unwrap();
    assert_eq!(witness.failed, ["2: the server refused RETR: -ERR internal error"]);
    assert_eq!((summary.delivered, summary.failures.len()), (2, 1));
    assert!(!summary.is_complete());
    assert!(!world.lines().contains(&"DELE 2".to_owned()));
    assert_eq!(world.left(), 1);
    assert_eq!(world.new_files(), [MAIL[0], MAIL[2]]);
}

#[test]
fn a_message_with_a_broken_end_stays() {
    let world = world(|server| server.script("RETR 2", BROKEN_END));
    let mut witness = Witness::of(&world);
    let mut client = world.impatient(Pipelining::Never);
    let summary = world.fetch().keep(Keep::nothing()).run(&mut client, &mut witness).unwrap();
    assert_eq!((summary.delivered, witness.failed.len(), world.left()), (2, 1, 1));
    assert_eq!(world.new_files(), [MAIL[0], MAIL[2]]);
}

#[test]
fn q_091_a_message_that_swallowed_the_answer_behind_it_is_not_taken_for_delivered() {
    // With RETR 3 under way its answer stands where the end should, and cannot be told from mail.
    let world = world(|server| server.script("RETR 2", BROKEN_END));
    let mut client = world.impatient(Pipelining::WhereAnnounced);
    let summary = world.fetch().keep(Keep::nothing()).run(&mut client, &mut Silent).unwrap();
    let sessions = world.server.sessions();
    assert!(!sessions[0].client_lines().iter().any(|line| line.starts_with("DELE")));
    // What came of the second, and was not its own, is not delivered.
    assert_eq!((summary.sessions, summary.deleted), (2, 1));
    let failed: Vec<_> = summary.failures.iter().map(|failure| failure.message.number).collect();
    assert_eq!((failed, world.new_files(), world.left()), (vec![3, 2], vec![MAIL[0].to_owned()], 2));

    // The server is mended.
    let mended = World {
        server: Server::builder().user("alice", "s3cret", world.maildrop()).start().unwrap(),
        ..world
    };
    let summary = mended.fetch().keep(Keep::nothing()).run(&mut mended.connect(), &mut Silent).unwrap();
    assert!(summary.is_complete(), "{summary:?}");
    assert_eq!(mended.left(), 0);
    assert_eq!(mended.new_files(), MAIL);
}

#[test]
fn a_session_that_breaks_is_replaced_and_the_message_that_broke_it_is_left() {
    let broken = || Answer::raw("+OK\r\nSubject: 2\r\n\r\nhal").then_close();
    let world = world(|server| server.script("RETR 2", broken()));
    let mut witness = Witness::of(&world);
    let summary = world.fetch().keep(Keep::nothing()).run(&mut world.connect(), &mut witness).unwrap();
    assert!(matches!(&summary.failures[0].cause, Cause::Session(error) if error.is_closed()), "{summary:?}");
    assert_eq!((summary.delivered, summary.sessions, witness.failed.len()), (2, 2, 1));
    assert!(!summary.is_complete());
    assert_eq!((world.left(), world.new_files()), (1, vec![MAIL[0].to_owned(), MAIL[2].to_owned()]));
    assert_eq!(fs::read_dir(world.home.path().join("Mail/tmp")).unwrap().count(), 0);

    // It was the only one that is left, and is number 1 now.
    let summary = world.fetch().run(&mut world.connect(), &mut Silent).unwrap();
    assert_eq!((summary.delivered, world.new_files()), (1, MAIL.map(str::to_owned).to_vec()));
}

/// Takes the destination away once the first message lies there.
struct Vandal(PathBuf);

impl Observer for Vandal {
    fn begun(&mut self, message: &Listed) {
        if message.number == 2 {
            let began = Instant::now();
            while fs::read_dir(self.0.join("new")).unwrap().count() == 0 {
                assert!(began.elapsed() < Duration::from_secs(10), "the first is not delivered");
            }
            fs::rename(self.0.join("tmp"), self.0.join("away")).unwrap();
            fs::remove_dir(self.0.join("away")).unwrap();
        }
    }
}

#[test]
fn where_both_sides_failed_nothing_is_deleted() {
    // The third answer is under way when the destination goes, and comes so late that the session could go on.
    let late = Answer::raw("+OK\r\nSubject: 3\r\n\r\n3\r\n.\r\n").after(Duration::from_millis(750));
    let world = world(|server| server.script("RETR 3", late));
    let mut vandal = Vandal(world.home.path().join("Mail"));
    let mut client = world.impatient(Pipelining::WhereAnnounced);
    let stopped =
        world.fetch().keep(Keep::nothing()).run(&mut client, &mut vandal).expect_err("both have failed");
    assert!(matches!(stopped.cause, Cause::Destination(_)), "{stopped}");
    assert_eq!((stopped.summary.delivered, world.left()), (1, 3));
    assert!(matches!(stopped.summary.deletion, Deletion::NoneMarked));
    assert!(!world.lines().iter().any(|line| line.starts_with("DELE")));
}

#[test]
fn a_destination_that_is_gone_stops_the_run_but_what_was_delivered_is_deleted() {
    let world = world(|server| server);
    let mut vandal = Vandal(world.home.path().join("Mail"));
    let stopped =
        world.fetch().keep(Keep::nothing()).run(&mut world.connect(), &mut vandal).expect_err("it is gone");
    assert!(matches!(stopped.cause, Cause::Destination(_)), "{stopped}");
    assert!(matches!(stopped.summary.deletion, Deletion::Committed { messages: 1 }));
    assert_eq!((world.left(), world.new_files().len()), (2, 1));
}

#[test]
fn a_message_that_cannot_be_moved_is_left_and_the_rest_goes_on() {
    // Its file in tmp/ vanishes while it is being received.
    struct Cleaner(PathBuf);
    impl Observer for Cleaner {
        fn progress(&mut self, message: &Listed, _: u64) {
            if message.number == 2 {
                for entry in fs::read_dir(&self.0).unwrap() {
                    let entry = entry.unwrap();
                    // Nothing is written to it yet; the message before it may still be here.
                    if entry.metadata().is_ok_and(|metadata| metadata.len() == 0) {
                        fs::remove_file(entry.path()).unwrap();
                    }
                }
            }
        }
    }
    let world = world(|server| server);
    let mut cleaner = Cleaner(world.home.path().join("Mail/tmp"));
    let summary = world.fetch().keep(Keep::nothing()).run(&mut world.connect(), &mut cleaner).unwrap();
    assert_eq!((summary.delivered, summary.failures.len(), world.left()), (2, 1, 1));
    assert!(matches!(summary.failures[0].cause, Cause::Destination(_)));
}

#[test]
fn what_the_server_says_to_quit_is_reported() {
    let refused = world(|server| server.quit_reply(QuitReply::SomeNotRemoved { removed: 1 }));
    let summary = refused.fetch().keep(Keep::nothing()).run(&mut refused.connect(), &mut Silent).unwrap();
    assert!(matches!(&summary.deletion, Deletion::Refused { messages: 3, reply } if !reply.is_ok()));
    assert!(!summary.is_complete());

    for answer in [QuitReply::CloseAfterCommit, QuitReply::CloseBeforeCommit] {
        let unknown = world(|server| server.quit_reply(answer));
        let summary = unknown.fetch().keep(Keep::nothing()).run(&mut unknown.connect(), &mut Silent).unwrap();
        assert!(matches!(&summary.deletion, Deletion::Unknown { messages: 3, error: Some(_) }));
        assert_eq!((summary.delivered, unknown.new_files().len()), (3, 3));
    }
}

#[test]
fn where_nothing_was_marked_the_answer_to_quit_does_not_matter() {
    for answer in ["-ERR what?\r\n", "nonsense\r\n"] {
        let world = world(|server| server.script("QUIT", answer));
        let summary = world.fetch().run(&mut world.connect(), &mut Silent).unwrap();
        assert!(summary.is_complete() && summary.delivered == 3);
    }
}

#[test]
fn a_refused_dele_is_reported_and_the_rest_goes_on() {
    let world = world(|server| server.script("DELE 2", "-ERR read-only\r\n"));
    let summary = world.fetch().keep(Keep::nothing()).run(&mut world.connect(), &mut Silent).unwrap();
    assert_eq!((summary.delivered, summary.not_marked.len()), (3, 1));
    assert!(matches!(summary.deletion, Deletion::Committed { messages: 2 }));
    assert!(!summary.is_complete());
    assert_eq!(world.left(), 1);
}

#[test]
fn listings_are_joined_by_number() {
    let world = world(|server| {
        server
            .script("LIST 2147483647", "-ERR no such message\r\n")
            .script("LIST", "+OK\r\n3 30\r\nnonsense\r\n1 10\r\n.\r\n")
            .script("UIDL", "+OK\r\n2 two\r\n1 one\r\n.\r\n")
    });
    let listing = Listing::ask(&mut world.client()).unwrap();
    let rows: Vec<_> = listing
        .messages
        .iter()
        .map(|m| (m.number, m.octets, m.uid.as_ref().map(ToString::to_string)))
        .collect();
    let text = |uid: &str| Some(uid.to_owned());
    assert_eq!(rows, [(1, Some(10), text("one")), (2, None, text("two")), (3, Some(30), None)]);
    assert_eq!((listing.unreadable, listing.octets()), (1, None));
}

#[test]
fn a_server_without_uidl_is_no_obstacle() {
    for server in [
        world(|server| server.capability_lines(["USER", "TOP"], ["USER", "TOP"])),
        world(|server| server.capa(false).script("UIDL", "-ERR what?\r\n")),
        world(|server| server.script("UIDL", "-ERR not now\r\n")),
    ] {
        let summary = server.fetch().run(&mut server.connect(), &mut Silent).unwrap();
        assert_eq!(summary.delivered, 3);
    }
}

#[test]
fn a_server_that_lists_nothing_as_an_error_has_no_mail() {
    let world = world(|server| server.script("LIST", "-ERR no messages\r\n").script("STAT", "+OK 0 0\r\n"));
    let listing = Listing::ask(&mut world.client()).unwrap();
    assert_eq!(listing.messages.len(), 3, "UIDL still lists them");

    let world = world_without_mail();
    let summary = world.fetch().keep(Keep::nothing()).run(&mut world.connect(), &mut Silent).unwrap();
    assert_eq!((summary.listed, summary.is_complete()), (0, true));
}

fn world_without_mail() -> World {
    world(|server| {
        server
            .script("LIST", "-ERR no messages\r\n")
            .script("UIDL", "-ERR no messages\r\n")
            .script("STAT", "+OK 0 0\r\n")
    })
}
