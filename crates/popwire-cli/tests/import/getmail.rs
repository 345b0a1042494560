//! getmail itself has fetched, with its own configuration and its own list.

use std::fs;
use std::process::Output;

use crate::world::{IDS, World, contents, ended_well, known_of_the_worse, octets, subjects};

fn run(world: &World, options: &str) -> Output {
    world.maildir("old");
    let config = format!(
        "[retriever]\ntype = SimplePOP3Retriever\nserver = 127.0.0.1\nport = {}\nusername = alice\npassword = s3\"cr't\n\
         timeout: 9\n[destination]\ntype = MultiDestination\ndestinations = ('[box]',\n    '~/mbox')\n\
         [box]\ntype = Maildir\npath = ~/old/\n[options]\nverbose = 0\n{options}",
        world.port()
    );
    world.write(".config/getmail/getmailrc", &config);
    for _ in 0..10 {
        world.write("mbox", "");
        let output = world.tool("getmail", &[]);
        // It misses now and then that a child of its has ended, and gives up: it waits for a signal that came already.
        if !String::from_utf8_lossy(&output.stderr).contains("waiting child pid") {
            return output;
        }
        fs::remove_dir_all(world.path("old")).unwrap();
        world.maildir("old");
    }
    panic!("getmail never saw its children end");
}

fn list(world: &World) -> String {
    contents(&world.path(&format!(".config/getmail/oldmail-127.0.0.1-{}-alice", world.port())))
}

#[test]
fn what_getmail_has_fetched_does_not_come_again() {
    let world = World::new(octets(&IDS));
    ended_well(
        &run(
            &world,
            "read_all = false\ndelete_after = 30\ndelete_bigger_than = 7000\nmax_message_size = 5000000\nmessage_log = ~/log\n",
        ),
        &[0],
    );
    assert_eq!(subjects(&world.path("old")).len(), IDS.len());
    world.deliver("new");

    let (events, warnings) = world.import("getmailrc");
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(
        (event["known"].as_u64(), event["account"].as_str()),
        (Some(IDS.len() as u64), Some("127-0-0-1"))
    );
    assert_eq!(world.fetched("127-0-0-1"), ["new"], "{}", list(&world));
    let expected = "version = 1\n\n# From ~/.config/getmail/getmailrc.\n# The password was in the old file; it is in a file of its \
                    own now, which only you can read.\n[account.127-0-0-1]\nserver = \"127.0.0.1:PORT\"\n\
                    tls = \"none-insecure\"\nuser = \"alice\"\npassword = { file = \"~/.config/popwire/secrets/127-0-0-1\" }\n\
                    keep = { days = 30, over = \"7kB\" }\ndeliver = [{ maildir = \"~/old/\" }, { mbox = \"~/mbox\" }]\nskip = [{ larger = \"5MB\" }]\n\
                    timeout = \"9s\"\n";
    assert_eq!(world.config(), expected);
    assert_eq!(world.secret("127-0-0-1"), "s3\"cr't");
    assert!(warnings.contains("line 21: `message_log` is left out"), "{warnings}");
}

#[test]
fn ids_that_the_rfc_does_not_allow_are_known_as_far_as_getmail_knows_them() {
    let known = known_of_the_worse(|world| drop(run(world, "read_all = false\n")), "getmailrc");
    // It fetches nothing where an id is no UTF-8.
    assert_eq!(known, ["two words", "tab\\tin it", &"x".repeat(100)]);
}
