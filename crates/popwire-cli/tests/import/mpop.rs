//! mpop itself has fetched, with its own configuration and its own list.

use std::process::Output;

use crate::world::{IDS, World, contents, ended_well, known_of_the_worse, octets, subjects};

fn run(world: &World, more: &str) -> Output {
    world.maildir("old");
    let config = format!(
        "defaults\nauth user\ntls off\ntimeout 30\n\naccount base\nhost 127.0.0.1\nport {}\nuser alice\n\
         account isp : base\npassword \"s3\"cr't\"\n# where to\ndelivery maildir ~/old\n{more}",
        world.port()
    );
    world.write(".mpoprc", &config);
    world.tool("mpop", &["--quiet", "isp"])
}

fn list(world: &World) -> String {
    contents(&world.path(".mpop_uidls/alice_at_127.0.0.1"))
}

#[test]
fn what_mpop_has_fetched_does_not_come_again() {
    // What begins with # is a comment in mpop's list, so that mpop itself fetches it again and again.
    let ids: Vec<_> = IDS.into_iter().filter(|id| !id.starts_with('#')).collect();
    let world = World::new(octets(&ids));
    ended_well(&run(&world, "keep on\nskipsize 10m\nfilter /bin/true\n"), &[0]);
    assert_eq!(subjects(&world.path("old")).len(), ids.len());
    world.deliver("new");

    let (events, warnings) = world.import("mpoprc");
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((event["known"].as_u64(), event["account"].as_str()), (Some(ids.len() as u64), Some("isp")));
    assert_eq!(world.fetched("isp"), ["new"], "{}", list(&world));
    assert!(warnings.contains("`filter` is left out"), "{warnings}");
    let expected = "version = 1\n\n# From ~/.mpoprc, account \"isp\".\n# The password was in the old file; it is in a file of its own \
                    now, which only you can read.\n[account.isp]\nserver = \"127.0.0.1:PORT\"\ntls = \"none-insecure\"\n\
                    user = \"alice\"\nauth = \"USER\"\npassword = { file = \"~/.config/popwire/secrets/isp\" }\n\
                    deliver = [{ maildir = \"~/old\" }]\nskip = [{ larger = \"10485760B\" }]\ntimeout = \"30s\"\n";
    assert_eq!(world.config(), expected);
    assert_eq!(world.secret("isp"), "s3\"cr't");
}

#[test]
fn ids_that_the_rfc_does_not_allow_are_known_as_far_as_mpop_knows_them() {
    let known = known_of_the_worse(|world| drop(run(world, "keep on\n")), "mpoprc");
    // It fetches nothing where an id has a tab or an octet beyond ASCII.
    assert_eq!(known, ["two words", &"x".repeat(100)]);
}
