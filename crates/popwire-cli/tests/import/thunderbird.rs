//! Thunderbird 153 has fetched from the embedded server: its profile as it wrote it, without what is not about mail.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use popwire_interop::testdata;

use crate::world::{IDS, World, octets};

/// The port that the server had then.
const PORT: &str = "21110";

/// The profile in the home of a world. All ids were there; `big` was too large, and the header alone was fetched.
fn world() -> World {
    let world = World::new(octets(&IDS).chain([&b"big"[..]]));
    copy(&testdata().join("import/thunderbird"), Path::new(".thunderbird"), &world);
    world
}

fn copy(from: &Path, to: &Path, world: &World) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to, world);
        } else {
            let text = fs::read_to_string(entry.path()).unwrap().replace(PORT, &world.port().to_string());
            world.write(to.to_str().unwrap(), &text);
        }
    }
}

#[test]
fn what_thunderbird_has_fetched_does_not_come_again() {
    let world = world();
    world.deliver("new");
    let (events, warnings) = world.import("thunderbird");
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(event["known"].as_u64(), Some(IDS.len() as u64), "{warnings}");
    assert_eq!(world.fetched("My-ISP"), ["big", "new"]);
    let expected = "version = 1\n\n# From Thunderbird's profile ~/.thunderbird/7jpis5wv.default-default, account \"My ISP\".\n\
                    # Mail goes into a Maildir of its own: Thunderbird's folders are for Thunderbird only.\n[account.My-ISP]\n\
                    server = \"127.0.0.1:PORT\"\ntls = \"none-insecure\"\nuser = \"alice\"\nkeep = \"21d\"\n\
                    deliver = [{ maildir = \"~/Mail/My-ISP\" }]\nskip = [{ larger = \"51200B\" }]\ninterval = \"15m\"\n\
                    # password = { keyring = true }\n";
    assert_eq!(world.config(), expected);
    for part in
        ["\"al@imap\": it is left out: it is fetched by IMAP", "\"My ISP\": its password is locked up"]
    {
        assert!(warnings.contains(part), "{part} in {warnings}");
    }
}

#[test]
fn what_has_been_there_for_long_goes_when_its_time_is_over() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let day = 24 * 60 * 60;
    // Thunderbird was to leave mail there for 21 days, and so is popwire.
    for (days, left) in [(20, IDS.len() + 1), (22, 1)] {
        let world = world();
        let state = ".thunderbird/7jpis5wv.default-default/Mail/127.0.0.1/popstate.dat";
        let text = fs::read_to_string(world.path(state)).unwrap();
        let then = text.replace(" 1795443606\n", &format!(" {}\n", now - days * day));
        assert_ne!(text, then);
        world.write(state, &then);
        world.import("thunderbird");
        assert_eq!(world.fetched("My-ISP"), ["big"]);
        assert_eq!(world.server.maildrop("alice").unwrap().len().unwrap(), left, "{days} days");
    }
}

#[test]
fn a_profile_may_be_named() {
    let world = world();
    world.write(".thunderbird/profiles.ini", "");
    for path in ["", "/prefs.js"] {
        let (events, _) =
            world.import(&format!("thunderbird .thunderbird/7jpis5wv.default-default{path} --dry-run"));
        assert_eq!(events[0]["known"].as_u64(), Some(IDS.len() as u64));
    }
}
