//! Destinations other than a Maildir, as the program offers them.

use std::fs;

use popwire_interop::smtpd::Smtpd;

use crate::world::{MAIL, PASSWORD, World, run, world};

/// An account `alice` whose mail goes to `deliver`.
fn account(world: &World, deliver: &str) {
    let port = world.server.tls_addr().port();
    let config = format!(
        "version = 1\n[account.alice]\nserver = \"localhost:{port}\"\nuser = \"alice\"\ntls = {{ ca = \"ca.pem\" }}\n\
         password = {{ env = \"THE_PASSWORD\" }}\nkeep = \"no\"\ndeliver = {deliver}\n"
    );
    fs::write(world.path("config.toml"), config).unwrap();
}

#[test]
fn a_mail_server_takes_mail_by_smtp() {
    let (world, smtpd) = (world(), Smtpd::start().unwrap());
    let place = format!("localhost:{}", smtpd.port);
    let fetched = world.run(&format!("fetch {} --ca ca.pem --smtp {place} --recipient bob@x", world.url()));
    assert!(fetched.good().out.contains(&format!("to bob@x by {place}")), "{}", fetched.out);
    let stored = smtpd.stored().unwrap();
    let stored: Vec<String> = stored.into_iter().map(|octets| String::from_utf8(octets).unwrap()).collect();
    let sent = |mail: &&str| format!("<> ['bob@x']\n{}", mail.replace('\r', "").trim_end_matches('\n'));
    let trimmed: Vec<&str> = stored.iter().map(|text| text.trim_end_matches('\n')).collect();
    assert_eq!(trimmed, MAIL.iter().map(sent).collect::<Vec<_>>());
    assert!(
        world
            .run(&format!("fetch {} --ca ca.pem --smtp {place} --recipient bob@x", world.url()))
            .good()
            .out
            .contains("nothing new")
    );
}

#[test]
fn a_mail_server_of_the_configuration_is_checked_and_may_refuse() {
    let (world, smtpd) = (world(), Smtpd::start().unwrap());
    let port = smtpd.port;
    let with_config = |line: &str| {
        run(world.command(line).env("POPWIRE_CONFIG", "config.toml").env("THE_PASSWORD", PASSWORD))
    };
    account(&world, &format!("{{ smtp = \"127.0.0.1:{port}\", recipient = \"bob@x\", sender = \"eve@x\" }}"));
    assert!(
        with_config("check alice").good().out.contains(&format!("delivers to bob@x by 127.0.0.1:{port}: ok"))
    );
    // What it refuses stays where it is.
    with_config("fetch").failed(75, &["550 not from her", "left on the server"]);
    assert_eq!(world.server.maildrop("alice").unwrap().len().unwrap(), MAIL.len());
    account(&world, "{ smtp = \"127.0.0.1:1\", recipient = \"bob@x\" }");
    with_config("check").failed(73, &["127.0.0.1:1"]);
    // With TLS, and nobody is there who knows it.
    account(&world, &format!("{{ smtp = \"127.0.0.1:{port}\", tls = \"starttls\", recipient = \"bob@x\" }}"));
    with_config("check").failed(73, &["it does not offer STARTTLS"]);
    assert_eq!(smtpd.stored().unwrap().len(), 0);
}

#[test]
fn programs_do_not_see_the_passwords() {
    let world = world();
    account(&world, "{ pipe = \"cat > /dev/null; env > seen\" }");
    run(world.command("fetch").env("POPWIRE_CONFIG", "config.toml").env("THE_PASSWORD", PASSWORD)).good();
    let seen = fs::read_to_string(world.path("seen")).unwrap();
    assert!(seen.contains("POPWIRE_UID=") && !seen.contains(PASSWORD), "{seen}");
}
