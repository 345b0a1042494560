use std::fs;
use std::time::Instant;

use super::*;
use crate::destination::testing::parcel;

fn deliver(destination: &mut ProgramDestination, parcels: &[&Parcel]) -> Vec<Result<String, DeliveryError>> {
    assert!(destination.prepare(parcels).iter().all(Result::is_ok));
    destination.commit(parcels)
}

/// Delivers a small message to a shell command.
fn shell(command: &str) -> Result<String, DeliveryError> {
    deliver(&mut ProgramDestination::shell(command), &[&parcel("1", b"Subject: 1\r\n\r\n")]).remove(0)
}

/// What the refusal said, and whether it is for good.
fn refusal(command: &str) -> (String, bool) {
    match shell(command) {
        Err(DeliveryError::Refused { said, permanent, .. }) => (said, permanent),
        other => panic!("{command}: {other:?}"),
    }
}

#[test]
fn a_program_gets_the_message_and_what_is_known_of_it() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name).display().to_string();
    for (id, octets) in [("small", 0), ("uid ü\u{7}", 100), ("large", 9 << 20)] {
        let message: Vec<u8> = (0..octets).map(|octet| (octet % 251) as u8).collect();
        let parcel = parcel(id, &message);
        let script =
            r#"cat >"$0"; env | grep ^POPWIRE_ | sort >"$1"; echo thrown away; yes | head -c 300000"#;
        let mut destination = ProgramDestination::new("sh", ["-c", script, &at("message"), &at("known")]);
        assert_eq!(destination.name(), format!("pipe:sh -c {script} {} {}", at("message"), at("known")));
        assert!(!destination.remembers() && destination.marks().unwrap().is_empty());
        assert_eq!(deliver(&mut destination, &[&parcel]).remove(0).unwrap(), destination.name());
        assert!(fs::read(at("message")).unwrap() == message);
        let known = fs::read_to_string(at("known")).unwrap();
        let expected = format!(
            "POPWIRE_ACCOUNT=alice@h\nPOPWIRE_MARK={}\nPOPWIRE_SHA256={}\nPOPWIRE_SIZE={octets}\nPOPWIRE_UID={}\n",
            parcel.mark,
            parcel.received.content.map(|octet| format!("{octet:02x}")).concat(),
            parcel.key.identity
        );
        assert_eq!(known, expected);
    }
}

#[test]
fn a_program_need_not_read_what_it_gets() {
    let large = parcel("1", &vec![b'x'; 2 << 20]);
    for command in ["true", "head -c 10", "exec <&-; sleep 0.1", "sleep 0.1"] {
        assert!(deliver(&mut ProgramDestination::shell(command), &[&large])[0].is_ok(), "{command}");
    }
    let refused = deliver(&mut ProgramDestination::shell("head -c 10; exit 67"), &[&large]).remove(0);
    assert!(matches!(refused, Err(DeliveryError::Refused { permanent: true, .. })), "{refused:?}");
}

#[test]
fn an_exit_code_says_whether_to_try_again() {
    assert_eq!(refusal("exit 75"), ("exit code 75 (temporary failure)".into(), false));
    let said = "exit code 67 (no such user): no bob here";
    assert_eq!(refusal("echo; echo 'no bob here  ' >&2; echo more >&2; exit 67"), (said.into(), true));
    assert_eq!(refusal("exit 1"), ("exit code 1".into(), false));
    assert_eq!(refusal("kill -9 $$"), ("killed by signal 9".into(), false));
    let (said, _) = refusal("yes '\u{1b}[31m' | tr -d '\\n' | head -c 5000000 >&2; exit 1");
    assert!(said.len() < 10_000 && !said.contains('\u{1b}'), "{said}");
}

#[test]
fn what_cannot_be_started_takes_no_message_at_all() {
    for mut destination in [
        ProgramDestination::new("/nonexistent/program", [""; 0]),
        ProgramDestination::shell("popwire-nonexistent-program"),
        ProgramDestination::shell("exec /etc/passwd"),
    ] {
        let failed = deliver(&mut destination, &[&parcel("1", b"")]).remove(0).unwrap_err();
        assert!(matches!(failed, DeliveryError::Unavailable { doing: "starting", .. }), "{failed:?}");
        assert!(!failed.is_about_one_message());
    }
}

#[test]
fn a_program_that_hangs_is_ended_with_all_that_it_started() {
    let home = tempfile::tempdir().unwrap();
    let pids = home.path().join("pids");
    // Neither reads its input, nor hears SIGTERM.
    let script = r#"trap "" TERM; sleep 1000 & echo $! $$ >>"$0"; sleep 1000; wait"#;
    let mut destination = ProgramDestination::new("sh", ["-c".as_ref(), script.as_ref(), pids.as_os_str()]);
    destination = destination.time_limit(Duration::from_millis(300));
    let large = vec![b'x'; 2 << 20];
    let parcels = [parcel("1", &large), parcel("2", &large), parcel("3", &large)];
    let begun = Instant::now();
    let results = deliver(&mut destination, &parcels.iter().collect::<Vec<_>>());
    assert!(begun.elapsed() < Duration::from_secs(10));
    let refused = |result| matches!(result, &Err(DeliveryError::Refused { permanent: false, .. }));
    assert!(refused(&results[0]) && refused(&results[1]), "{results:?}");
    assert!(matches!(results[2], Err(DeliveryError::Unavailable { doing: "running", .. })), "{results:?}");
    let pids = fs::read_to_string(pids).unwrap();
    assert_eq!(pids.split_whitespace().count(), 4);
    for pid in pids.split_whitespace() {
        // It may take a killed process a moment to be gone.
        let is_there = || {
            let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !state.is_empty() && !state.contains(") Z ")
        };
        let begun = Instant::now();
        while is_there() {
            assert!(begun.elapsed() < Duration::from_secs(10), "{pid} is still there");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn what_a_program_leaves_running_is_not_waited_for() {
    let begun = Instant::now();
    // It holds the pipes for the input and the errors.
    shell("sleep 5 & exit 0").unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3));
    let mut destination = ProgramDestination::shell("trap 'echo ended >&2; exit 0' TERM; sleep 1000 & wait");
    destination = destination.time_limit(Duration::from_millis(300));
    let refused = deliver(&mut destination, &[&parcel("1", b"")]).remove(0).unwrap_err();
    assert!(matches!(refused, DeliveryError::Refused { permanent: false, .. }), "{refused:?}");
    assert!(begun.elapsed() < Duration::from_secs(4));
}
