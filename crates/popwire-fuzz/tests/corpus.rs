//! All that fuzzing has kept is run again: a mistake that was found once stays found.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use popwire_fuzz::TARGETS;

#[test]
fn what_fuzzing_kept_breaks_no_rule() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in TARGETS {
        let entries = std::fs::read_dir(corpus.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut run = 0;
        for entry in entries {
            let path = entry.unwrap().path();
            let octets = std::fs::read(&path).unwrap();
            if std::panic::catch_unwind(|| target(&octets)).is_err() {
                panic!("{} breaks a rule of {name}", path.display());
            }
            run += 1;
        }
        assert!(run > 0, "the corpus of {name} is empty");
    }
}
