use super::*;
use popwire_retriever::SmtpSecurity;

use crate::destinations::Place;

fn parse(text: &str) -> Result<Config, Problem> {
    Config::parse(Path::new("config.toml"), text.to_owned())
}

/// What is said of a mistake, and the advice.
#[track_caller]
fn mistake(text: &str) -> (String, String) {
    let problem = parse(text)
        .and_then(|config| {
            let names: Vec<String> = config.accounts.keys().cloned().collect();
            names.iter().try_for_each(|name| config.connect(name).and_then(|_| config.wishes(name)).map(drop))
        })
        .unwrap_err();
    assert_eq!(problem.exit, crate::explain::Exit::Configuration);
    (problem.what, problem.advice)
}

const ISP: &str = "version = 1\n[account.isp]\nserver = \"pop.isp.example\"\nuser = \"al\"\ndeliver = { maildir = \"M\" }\n";

#[test]
fn the_reference_has_every_key_and_is_right() {
    let reference = include_str!("../../../../docs/config.md");
    let example = reference.split("```toml").nth(1).unwrap().split("```").next().unwrap();
    let config = parse(example).unwrap();
    assert_eq!(config.accounts.keys().collect::<Vec<_>>(), ["isp", "work"]);
    for name in config.accounts.keys() {
        config.wishes(name).unwrap();
    }
    let (url, connect) = config.connect("isp").unwrap();
    assert_eq!((url.as_str(), connect.user.as_deref()), ("pops://pop.isp.example", Some("you@isp.example")));
    let wishes = config.wishes("isp").unwrap();
    assert_eq!((wishes.deliver.len(), wishes.rules.len()), (2, 3));
    assert_eq!(wishes.keep, popwire_retriever::Keep::nothing().days(14));
}

#[test]
fn defaults_stand_where_an_account_says_nothing() {
    let text = format!(
        "[defaults]\nkeep = \"14d\"\nbatch = 7\n{}limit = 3\nbatch = 9\n",
        ISP.replace("version = 1\n", "")
    );
    let config = parse(&format!("version = 1\n{text}")).unwrap();
    let wishes = config.wishes("isp").unwrap();
    assert_eq!((wishes.batch, wishes.limit), (Some(9), Some(3)));
    assert_eq!(wishes.keep, popwire_retriever::Keep::nothing().days(14));
}

#[test]
fn keep_is_said_in_words_times_and_tables() {
    use popwire_retriever::Keep;
    for (text, keep) in [
        ("\"forever\"", Keep::forever()),
        ("\"no\"", Keep::nothing()),
        ("\"0\"", Keep::nothing()),
        ("{ over = \"10MB\" }", Keep::forever().but_nothing_over(10_000_000)),
        ("\"36h\"", Keep::nothing().days(2)),
        (
            "{ days = 14, newest = 100, over = \"10MB\" }",
            Keep::nothing().days(14).newest(100).but_nothing_over(10_000_000),
        ),
    ] {
        let config = parse(&format!("{ISP}keep = {text}\n")).unwrap();
        assert_eq!(config.wishes("isp").unwrap().keep, keep, "{text}");
    }
}

#[test]
fn passwords_and_tokens_come_from_elsewhere() {
    let connect = |line: &str| parse(&format!("{ISP}{line}\n")).unwrap().connect("isp").unwrap().1;
    let command =
        connect("password = { command = [\"pass\", \"show\", \"it's\"] }").password_command.unwrap();
    assert_eq!(command, r"'pass' 'show' 'it'\''s'");
    assert_eq!(connect("password = { command = \"pass isp\" }").password_command.unwrap(), "pass isp");
    assert_eq!(connect("password = { env = \"P\" }").password_env.unwrap(), "P");
    assert_eq!(connect("password = { file = \"/x\" }").password_file.unwrap(), Path::new("/x"));
    assert_eq!(connect("password = { keyring = true }").keyring.unwrap(), "isp");
    assert_eq!(connect("token = { command = \"oama\" }").oauth_token_command.unwrap(), "oama");
    // None stands in the file itself.
    assert!(mistake(&format!("{ISP}password = \"s3cret\"\n")).0.starts_with("config.toml:6:12: "));
}

#[test]
fn destinations_are_of_one_kind_each() {
    let wishes = |line: &str| parse(&ISP.replace("{ maildir = \"M\" }", line)).unwrap().wishes("isp");
    let places = wishes(
        "[{ mbox = \"m\" }, { pipe = [\"a\", \"b\"], timeout = \"5s\" }, { lmtp = \"/run/x\", recipient = \"a@b\" }]",
    );
    let places = places.unwrap().deliver;
    assert!(matches!(&places[0], Place::Mbox(path) if path == Path::new("m")));
    assert!(matches!(&places[1], Place::Program(words, Some(_)) if words.len() == 2));
    assert!(matches!(&places[2], Place::Lmtp(server) if server.recipient.as_str() == "a@b"));
    let smtp = |line: &str| match wishes(line).unwrap().deliver.remove(0) {
        Place::Smtp { security, ca, login, .. } => (security, ca.is_some(), login.map(|(user, _)| user)),
        other => panic!("{other:?}"),
    };
    for here in ["localhost", "localhost:2525", "127.0.0.1", "::1", "[::1]:25"] {
        let line = format!("{{ smtp = \"{here}\", recipient = \"a@b\" }}");
        assert_eq!(smtp(&line), (SmtpSecurity::Plain, false, None), "{here}");
    }
    for there in ["localhost.evil", "127.0.0.10", "mail.example.org:25"] {
        let line = format!("{{ smtp = \"{there}\", recipient = \"a@b\" }}");
        assert_eq!(smtp(&line), (SmtpSecurity::Tls, false, None), "{there}");
    }
    let line = "{ smtp = \"h\", recipient = \"a\", tls = \"starttls\", ca = \"f\", user = \"u\", password = { env = \"P\" } }";
    assert_eq!(smtp(line), (SmtpSecurity::StartTls, true, Some("u".to_owned())));
    assert_eq!(
        parse(&ISP.replace("{ maildir = \"M\" }", line)).unwrap().secret_variables().next().unwrap(),
        "P"
    );
    for wrong in [
        "{}",
        "{ maildir = \"a\", mbox = \"b\" }",
        "{ lmtp = \"h\" }",
        "{ lmtp = \"h\", recipient = \"a b\" }",
        "{ lmtp = \"h\", recipient = \"a\", tls = \"implicit\" }",
        "{ maildir = \"h\", recipient = \"a\" }",
        "{ pipe = [] }",
        "{ smtp = \"h\" }",
        "{ smtp = \"h\", recipient = \"a\", user = \"u\" }",
        "{ smtp = \"localhost\", recipient = \"a\", user = \"u\", password = { env = \"P\" } }",
        "{ smtp = \"h\", recipient = \"a\", tls = \"none-insecure\", ca = \"f\" }",
        "[]",
    ] {
        let problem = wishes(wrong).unwrap_err();
        assert!(problem.what.starts_with("config.toml:5:1: "), "{}", problem.what);
    }
}

#[test]
fn a_mistake_has_a_place_and_a_suggestion() {
    let (what, advice) = mistake("version = 1\n[account.isp]\nservr = \"a\"\n");
    assert_eq!(what.split(", expected").next().unwrap(), "config.toml:3:1: unknown field `servr`");
    assert_eq!(advice, "There stands: servr = \"a\" Did you mean server?");
    let (what, advice) = mistake(&format!("{ISP}tls = \"startls\"\n"));
    assert!(what.starts_with("config.toml:6:7: tls takes"), "{what}");
    assert!(advice.contains("tls = \"startls\""));
    let (what, _) = mistake(&format!("{ISP}limit = \"many\"\n"));
    assert!(what.starts_with("config.toml:6:9: invalid type: string \"many\""), "{what}");
    let (what, _) = mistake(&format!("{ISP}timeout = \"soon\"\n"));
    assert_eq!(what, "config.toml:6:11: \"soon\" is no time; like this: \"90s\", \"5m\", \"14d\"");
    let (what, _) = mistake(&format!("{ISP}keep = \"never\"\n"));
    assert!(what.starts_with("config.toml:6:1: keep takes"), "{what}");
    let (what, _) = mistake("version = 1\n[account.isp]\nuser = \"a\"\n");
    assert_eq!(what, "config.toml:2:1: it names no server");
    let (what, _) = mistake("version = 1\n[account.isp\n");
    assert!(what.starts_with("config.toml:2:"), "{what}");
    assert!(mistake("version = 2\n").0.contains("version 2"));
    assert!(
        mistake(&format!("{ISP}skip = [{{ larger = \"1MB\", smaller = \"1\" }}]\n"))
            .0
            .contains("has one of larger")
    );
    assert!(mistake(&format!("{ISP}auth = \"NONSENSE\"\n")).0.contains("NONSENSE is not known"));
    let problem = parse(ISP).unwrap().account("ips").unwrap_err();
    assert_eq!(
        (problem.what.as_str(), problem.advice.as_str()),
        ("config.toml has no account ips", "Did you mean isp?")
    );
}

#[test]
fn the_published_schema_is_up_to_date() {
    let schema = schemars::schema_for!(File);
    let schema = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/config.schema.json");
    if std::env::var_os("POPWIRE_UPDATE").is_some() {
        fs::write(&path, &schema).unwrap();
    }
    let published = fs::read_to_string(&path).unwrap();
    assert!(published == schema, "write it anew: POPWIRE_UPDATE=1 cargo test -p popwire-cli schema");
}
