//! fetchmail itself has fetched, with its own configuration and its own list.

use std::process::Output;

use crate::world::{IDS, World, contents, ended_well, known_of_the_worse, octets, subjects};

/// fetchmail's configuration, with a Maildir behind it.
fn configuration(world: &World, policy: &str) -> String {
    world.maildir("old");
    let deliver = world.write("deliver", "#!/bin/sh\nexec cat > \"$(mktemp \"$1/new/XXXXXXXX\")\"\n");
    format!(
        "# everything\nset no bouncemail\nset daemon 300\n\
         poll 127.0.0.1 with protocol POP3 service {} timeout 20, interval 2\n\
         \tuser 'alice' there with password \"s3\\x22cr't\" is \"me\" here options {policy}\n\
         \tsslproto '' mda \"/bin/sh {} {}\"\n",
        world.port(),
        deliver.display(),
        world.path("old").display()
    )
}

fn run(world: &World, policy: &str) -> Output {
    world.write(".fetchmailrc", &configuration(world, policy));
    world.tool("fetchmail", &["--nosyslog", "--daemon", "0"])
}

#[test]
fn what_fetchmail_has_fetched_does_not_come_again() {
    let world = World::new(octets(&IDS));
    ended_well(&run(&world, "keep limit 100000 fetchlimit 500 no rewrite"), &[0, 1]);
    assert_eq!(subjects(&world.path("old")).len(), IDS.len());
    world.deliver("new");

    let (events, warnings) = world.import("fetchmailrc");
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(
        (event["known"].as_u64(), event["fate"].as_str()),
        (Some(IDS.len() as u64), Some("added")),
        "{warnings}"
    );
    assert_eq!(world.fetched(), ["new"], "{}", contents(&world.path(".fetchids")));
    let expected = "version = 1\n\n# From ~/.fetchmailrc, line 5.\n# The password was in the old file; it is in a file of its own \
                    now, which only you can read.\n[account.127-0-0-1]\nserver = \"127.0.0.1:PORT\"\n\
                    tls = \"none-insecure\"\nuser = \"alice\"\npassword = { file = \"~/.config/popwire/secrets/127-0-0-1\" }\n\
                    deliver = [{ pipe = [\"/bin/sh\", \"~/deliver\", \"~/old\"] }]\nskip = [{ larger = \"100kB\" }]\n\
                    limit = 500\ninterval = \"10m\"\ntimeout = \"20s\"\n";
    assert_eq!(world.config(), expected);
    assert_eq!(world.secret("127-0-0-1"), "s3\"cr't");
    assert!(warnings.contains("in the clear"), "{warnings}");
}

#[test]
fn ids_that_the_rfc_does_not_allow_are_known_as_far_as_fetchmail_knows_them() {
    let known = known_of_the_worse(|world| drop(run(world, "keep")), "fetchmailrc");
    // It cuts the others off at the blank or the tab, and so knows them by what is before that.
    assert_eq!(known, ["\\xe9t\\xe9", &"x".repeat(100)]);
}
