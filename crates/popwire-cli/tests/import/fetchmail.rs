//! fetchmail itself has fetched, with its own configuration and its own list.

use std::fs;
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;

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
    assert_eq!(world.fetched("127-0-0-1"), ["new"], "{}", contents(&world.path(".fetchids")));
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

/// Accepted by fetchmail, or not; popwire is of the same opinion.
#[test]
fn popwire_understands_what_fetchmail_understands_and_nothing_else() {
    let world = World::new([]);
    let (mut understood, mut refused) = (0, 0);
    let mut wrong = Vec::new();
    for rc in [
        "poll h proto pop3 user a pass b",
        "poll h proto POP3 user a there pass b is c here",
        "poll h protocol pop3 port 110 auth password timeout 3 uidl no dns nodns user a password password",
        "server h proto apop service pop3s via \"x\" aka y z user keep pass poll nokeep",
        "poll h with proto pop3, and wants user a; has: pass b options keep fetchall",
        "poll h proto pop3 user 'a b' pass \"c#d\" # rest\n\tmda \"/bin/x %T\"",
        "poll h proto pop3 username a pass b ssl sslproto '' nosslcertck",
        "poll h proto pop3 user a pass b ssl no sslcertck sslcertfile f sslcertpath p sslfingerprint f sslcommonname c",
        "poll h proto pop3 user a pass b smtphost x/24 y/2525 lmtp smtpname n smtpaddress d antispam 550 551",
        "poll h proto pop3 localdomains a b envelope 2 \"Delivered-To:\" qvirtual q user a is b c = d * here pass x",
        "poll h proto pop3 no envelope bad-header accept tracepolls interface \"eth0/1\" user a pass b",
        "poll h proto pop3 user a pass b limit 10 limitflush warnings 3 batchlimit 4 fetchlimit 5 fetchsizelimit 6 fastuidl 7 expunge 8",
        "poll h proto pop3 user a pass b norewrite forcecr nostripcr pass8bits dropstatus nodropdelivered mimedecode idle",
        "poll h proto pop3 user a pass b preconnect 'x' postconnect \"y\" bsmtp z folder f g fetchdomains d properties p",
        "poll h proto pop3 principal p esmtpname e esmtppassword f checkalias user a pass b",
        "defaults proto pop3 user a pass b\npoll h\nskip i user c",
        "set idfile = \"x\" set daemon 300 set no syslog set syslog set postmaster p set properties q\npoll h proto pop3 user a pass b",
        "set logfile l set pidfile p set invisible set no showdots set no spambounce set softbounce\npoll h proto pop3 user a pass b",
        "poll h proto pop3\n keep",
        "poll h proto pop3 pass b user c pass d",
        "poll h proto pop3 user a pass b\n\\\nkeep",
        "poll h proto pop3 user a pass b \"keep\"",
        "poll h proto pop3 user a pass b prot",
        "poll h proto pop3 user a pass b proto pop3",
        "poll h proto nonsense user a pass b",
        "poll h proto pop3 auth nonsense user a pass b",
        "poll h proto pop3 timeout x user a pass b",
        "poll h proto pop3 user a pass b limit",
        "poll 110 proto pop3 user a pass b",
        "poll h proto pop3 user = pass b",
        "poll h proto pop3 user a there there pass b",
        "set nonsense\npoll h proto pop3 user a pass b",
        "set idfile\npoll h proto pop3 user a pass b",
        "keep",
        "poll h proto pop3 user a is b there pass c no no keep",
    ] {
        world.write("rc", rc);
        let fetchmail = world.tool("fetchmail", &["--configdump", "--fetchmailrc", "rc"]);
        let popwire = world.popwire("import fetchmailrc rc --dry-run");
        let accepted = fetchmail.status.success();
        let told = String::from_utf8_lossy(&fetchmail.stderr);
        if popwire.code != if accepted { 0 } else { 65 } {
            wrong.push(format!("{rc}: {} {} {told}", popwire.code, popwire.err));
        }
        *if accepted { &mut understood } else { &mut refused } += 1;
        if accepted {
            wrong.extend(
                differences(&world, &String::from_utf8_lossy(&fetchmail.stdout))
                    .map(|what| format!("{rc}: {what}")),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(understood > 15 && refused > 10, "{understood} {refused}");
}

/// Makes JSON of what fetchmail dumps, which is a program in Python.
const TO_JSON: &str =
    "import sys, json; names = {}; exec(sys.stdin.read(), names); print(json.dumps(names['fetchmailrc']))";

/// Where the accounts that are imported from `rc` are not what fetchmail takes them for.
fn differences(world: &World, dump: &str) -> impl Iterator<Item = String> {
    let output = Command::new("python3").args(["-c", TO_JSON]).write_stdin(dump).output().unwrap();
    let dump: Value = serde_json::from_slice(&output.stdout).unwrap();
    let _ = fs::remove_dir_all(world.path(".config"));
    world.import("fetchmailrc rc");
    // Accounts that fetchmail skips are there as comments.
    let config = world.config().replace("\n# [", "\n[");
    let config = config
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|line| line.contains(" = ")).unwrap_or(line));
    let config: toml::Table = config.collect::<Vec<_>>().join("\n").parse().unwrap();
    let accounts = config["account"].as_table().unwrap();

    let mut differences = Vec::new();
    for server in dump["servers"].as_array().unwrap() {
        let host = server["via"].as_str().or(server["pollname"].as_str()).unwrap();
        for user in server["users"].as_array().unwrap() {
            // Who runs it has not the same name here and there.
            let name =
                user["remote"].as_str().filter(|name| !["root", "nobody"].contains(name)).unwrap_or("me");
            let ours = accounts.iter().find(|(_, account)| {
                let server = account["server"].as_str().unwrap();
                account["user"].as_str() == Some(name) && server.split(':').next() == Some(host)
            });
            let Some((account, ours)) = ours else {
                differences.push(format!("no {name} at {host}"));
                continue;
            };
            let number = |key: &str| ours.get(key).and_then(toml::Value::as_integer).unwrap_or(0);
            let mut same = |what: &str, theirs: &Value, ours: Value| {
                if *theirs != ours {
                    differences.push(format!("{what} of {name} at {host}: {theirs}, and not {ours}"));
                }
            };
            let tls = ours.get("tls");
            let mode = tls.and_then(|tls| tls.get("mode")).or(tls).and_then(toml::Value::as_str);
            let any = tls.and_then(|tls| tls.get("insecure_any_certificate")).is_some();
            let larger = ours.get("skip").map(|skip| skip[0]["larger"].as_str().unwrap().to_owned());
            same("keep", &user["keep"], (ours.get("keep").is_none() as u8).into());
            same("ssl", &user["ssl"], (mode.is_none_or(|mode| mode == "implicit") as u8).into());
            same("sslcertck", &user["sslcertck"], (!any as u8).into());
            same("fetchlimit", &user["fetchlimit"], number("limit").into());
            same("expunge", &user["expunge"], number("batch").into());
            let limit = user["limit"].as_u64().filter(|&limit| limit > 0).map(|limit| format!("{limit}B"));
            same("limit", &limit.into(), larger.into());
            if let Some(password) = user["password"].as_str() {
                same("password", &password.into(), world.secret(account).into());
            }
        }
    }
    differences.into_iter()
}
