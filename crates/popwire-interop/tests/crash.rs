//! The tracer is right: it stops where it says, all dies with it, and what it says is left is what POSIX promises.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use popwire_interop::crash::{Outcome, Run, Tracer};

/// Python code, with `root` for the folder and short names for the calls; a call of Python's is one of the system's.
fn python(root: &Path, code: &str) -> Command {
    let names = "import os, sys\n\
        from os import *\n\
        root = sys.argv[1]; chdir(root)\n\
        def put(name, octets, *flags):\n\
        \x20   fd = open(name, O_WRONLY | O_CREAT | sum(flags)); write(fd, octets); return fd\n\
        def flush(name):\n\
        \x20   fd = open(name, O_RDONLY); fsync(fd); close(fd)\n";
    let mut command = Command::new(interpreter());
    command.args(["-I", "-S", "-c", &format!("{names}{code}")]).arg(root);
    command
}

/// Python itself: `python3` may be a script that looks for it, with calls of its own.
fn interpreter() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let asked = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
        String::from_utf8(asked.expect("python3 is needed").stdout).unwrap().trim_end().into()
    })
}

/// An empty folder `root`, and a place for what is left of it.
struct Place {
    home: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::create_dir(home.path().join("root")).unwrap();
        Place { home }
    }

    fn root(&self) -> PathBuf {
        self.home.path().join("root")
    }

    fn left(&self) -> PathBuf {
        self.home.path().join("left")
    }
}

/// What is below a folder: of a file its octets, of a folder a slash at the end of its name.
fn tree(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_symlink() {
            found.insert(name, format!("-> {}", fs::read_link(&path).unwrap().display()));
        } else if path.is_dir() {
            found.extend(tree(&path).into_iter().map(|(below, octets)| (format!("{name}/{below}"), octets)));
            found.insert(name + "/", String::new());
        } else {
            found.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
    found
}

/// What is left after a loss of power at the end of `code`, which begins with what `before` made.
fn left(before: impl Fn(&Path), code: &str) -> Vec<(String, String)> {
    let place = Place::new();
    before(&place.root());
    let command = python(&place.root(), code);
    let run =
        Tracer::build().unwrap().power_loss_at(u64::MAX, &place.root(), &place.left(), &command).unwrap();
    finished(&run);
    tree(&place.left()).into_iter().collect()
}

#[track_caller]
fn finished(run: &Run) {
    let Outcome::Finished(status) = run.outcome else { panic!("{run:?}") };
    assert!(status.success(), "{status}: {}", String::from_utf8_lossy(&run.stderr));
}

#[track_caller]
fn assert_left(before: impl Fn(&Path), code: &str, expected: &[(&str, &str)]) {
    let expected: Vec<_> =
        expected.iter().map(|(name, octets)| ((*name).to_owned(), (*octets).to_owned())).collect();
    assert_eq!(left(before, code), expected, "{code}");
}

fn nothing(_: &Path) {}

#[test]
fn what_was_there_is_durable_until_it_is_changed_durably() {
    let before = |root: &Path| {
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("d/f"), "old").unwrap();
        fs::set_permissions(root.join("d/f"), fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("d/f", root.join("s")).unwrap();
    };
    let old = [("d/", ""), ("d/f", "old"), ("s", "-> d/f")];
    assert_left(before, "", &old);
    assert_left(before, "put('d/f', b'NEW!')", &old);
    assert_left(before, "unlink('d/f'); unlink('s'); rmdir('d')", &old);
    assert_left(before, "truncate('d/f', 0); fsync(open('d', O_RDONLY))", &old);
    assert_left(before, "fsync(put('d/f', b'NEW!'))", &[("d/", ""), ("d/f", "NEW!"), ("s", "-> d/f")]);
    assert_left(before, "unlink('d/f'); flush('d')", &[("d/", ""), ("s", "-> d/f")]);
    assert_left(before, "put('d/f', b'NEW!'); unlink('s'); sync()", &[("d/", ""), ("d/f", "NEW!")]);
}

#[test]
fn a_new_file_needs_two_flushes() {
    assert_left(nothing, "put('f', b'x')", &[]);
    assert_left(nothing, "fsync(put('f', b'x'))", &[]);
    assert_left(nothing, "fdatasync(put('f', b'x'))", &[]);
    assert_left(nothing, "put('f', b'x'); flush('.')", &[("f", "")]);
    assert_left(nothing, "fsync(put('f', b'x')); flush('.')", &[("f", "x")]);
    assert_left(nothing, "fd = put('f', b'x'); flush('.'); fdatasync(fd)", &[("f", "x")]);
    assert_left(nothing, "fd = put('f', b'x'); fsync(fd); write(fd, b'y'); flush('.')", &[("f", "x")]);
    assert_left(nothing, "fd = put('f', b'x'); fsync(fd); pwrite(fd, b'z', 0); flush('.')", &[("f", "x")]);
    // Flushed by another descriptor, and by one that is open for reading only
    assert_left(nothing, "put('f', b'x'); flush('f'); flush('.')", &[("f", "x")]);
    assert_left(nothing, "put('f', b'x'); sync()", &[("f", "x")]);
    assert_left(nothing, "mkdir('d'); fsync(put('d/f', b'x')); flush('d')", &[]);
    assert_left(nothing, "mkdir('d'); fsync(put('d/f', b'x')); flush('.')", &[("d/", "")]);
    assert_left(
        nothing,
        "mkdir('d'); fsync(put('d/f', b'x')); flush('.'); flush('d')",
        &[("d/", ""), ("d/f", "x")],
    );
}

#[test]
fn a_flush_that_fails_makes_nothing_durable() {
    // Such a descriptor names the file and cannot be used for anything.
    let code = "put('f', b'x'); flush('.')\n\
        try: fsync(open('f', O_PATH)); sys.exit(1)\n\
        except OSError: pass";
    assert_left(nothing, code, &[("f", "")]);
}

#[test]
fn a_move_counts_when_its_folders_are_flushed() {
    let before = |root: &Path| {
        for folder in ["a", "b"] {
            fs::create_dir(root.join(folder)).unwrap();
        }
        fs::write(root.join("a/f"), "x").unwrap();
    };
    let (a, b) = (("a/", ""), ("b/", ""));
    assert_left(before, "rename('a/f', 'a/g')", &[a, ("a/f", "x"), b]);
    assert_left(before, "rename('a/f', 'a/g'); flush('a')", &[a, ("a/g", "x"), b]);
    assert_left(before, "rename('a/f', 'b/g')", &[a, ("a/f", "x"), b]);
    assert_left(before, "rename('a/f', 'b/g'); flush('a')", &[a, b]);
    assert_left(before, "rename('a/f', 'b/g'); flush('b')", &[a, ("a/f", "x"), b, ("b/g", "x")]);
    assert_left(before, "rename('a/f', 'b/g'); flush('a'); flush('b')", &[a, b, ("b/g", "x")]);
    // Both names are the same file, also when its octets change later.
    let changed = "rename('a/f', 'b/g'); flush('b'); fsync(put('b/g', b'y'))";
    assert_left(before, changed, &[a, ("a/f", "y"), b, ("b/g", "y")]);
    // What is overwritten comes back under its name.
    let over = |root: &Path| {
        before(root);
        fs::write(root.join("b/g"), "old").unwrap();
    };
    assert_left(over, "rename('a/f', 'b/g')", &[a, ("a/f", "x"), b, ("b/g", "old")]);
    // A folder can be below itself, by its durable names. It is left out there.
    let knot = "mkdir('a/c'); flush('a'); rename('a/c', 'c'); rename('a', 'c/a'); flush('c')";
    assert_left(before, knot, &[a, ("a/c/", ""), ("a/f", "x"), b]);
}

#[test]
fn a_file_system_may_keep_names_and_lose_octets() {
    let tracer = Tracer::build().unwrap();
    for (code, expected) in [
        ("put('t', b'new'); rename('t', 'f')", [("d/", ""), ("f", "")]),
        ("fsync(put('t', b'new')); rename('t', 'f')", [("d/", ""), ("f", "new")]),
        ("put('f', b'NEW')", [("d/", ""), ("f", "old")]),
        ("rename('f', 'd/g'); put('d/g', b'NEW')", [("d/", ""), ("d/g", "old")]),
    ] {
        let place = Place::new();
        fs::write(place.root().join("f"), "old").unwrap();
        fs::create_dir(place.root().join("d")).unwrap();
        let command = python(&place.root(), code);
        finished(&tracer.octets_loss_at(u64::MAX, &place.root(), &place.left(), &command).unwrap());
        let left = tree(&place.left());
        let left: Vec<_> = left.iter().map(|(name, octets)| (name.as_str(), octets.as_str())).collect();
        assert_eq!(left, expected, "{code}");
    }
}

#[test]
fn links_count_like_names() {
    let before = |root: &Path| fs::write(root.join("f"), "x").unwrap();
    assert_left(before, "link('f', 'g')", &[("f", "x")]);
    assert_left(before, "link('f', 'g'); unlink('f'); flush('.')", &[("g", "x")]);
    assert_left(before, "symlink('f', 's')", &[("f", "x")]);
    assert_left(before, "symlink('f', 's'); flush('.')", &[("f", "x"), ("s", "-> f")]);

    let place = Place::new();
    before(&place.root());
    let command = python(&place.root(), "link('f', 'g'); flush('.')");
    finished(&Tracer::build().unwrap().power_loss_at(99, &place.root(), &place.left(), &command).unwrap());
    let number = |name: &str| fs::metadata(place.left().join(name)).unwrap().ino();
    assert_eq!(number("f"), number("g"), "one file with two names stays one");
}

#[test]
fn a_number_that_the_file_system_gives_again_is_another_file() {
    // Without care, the new file would be taken for the old one, and have its octets.
    let code = "\
for at in range(50):\n\
\x20   fd = put('f', b'old'); fsync(fd); close(fd); unlink('f')\n\
\x20   close(put('g', b'new')); flush('.'); unlink('g')\n\
close(put('g', b'new')); flush('.')";
    assert_left(nothing, code, &[("g", "")]);
}

#[test]
fn of_a_log_that_is_flushed_line_by_line_the_flushed_lines_are_left() {
    let tracer = Tracer::build().unwrap();
    let code = "fd = put('log', b''); flush('.')\n\
        for at in range(5):\n\
        \x20   write(fd, b'line %d\\n' % at); fdatasync(fd); os.write(1, b'%d\\n' % at)";
    let mut lengths = BTreeSet::new();
    for n in 1.. {
        let place = Place::new();
        let run =
            tracer.power_loss_at(n, &place.root(), &place.left(), &python(&place.root(), code)).unwrap();
        // What it had been told is durable, and nothing else.
        let told = run.stdout.iter().filter(|octet| **octet == b'\n').count();
        let log = tree(&place.left()).remove("log").unwrap_or_default();
        let lines: String = (0..told).map(|at| format!("line {at}\n")).collect();
        assert_eq!(log, lines, "{n}: {run:?}");
        lengths.insert(told);
        if matches!(run.outcome, Outcome::Finished(_)) {
            finished(&run);
            break;
        }
    }
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
}

/// Rows that are inserted into a database, one transaction each, with a loss of power at each call; gives how many rows
/// were committed and how many were there, for each, and fails where the database is damaged or has other rows.
fn database(mode: &str) -> Vec<(usize, usize)> {
    let tracer = Tracer::build().unwrap();
    let code = format!(
        "import sqlite3\n\
         db = sqlite3.connect('db', isolation_level=None)\n\
         db.execute('PRAGMA journal_mode=WAL'); db.execute('PRAGMA synchronous={mode}')\n\
         db.execute('PRAGMA wal_autocheckpoint=4')\n\
         db.execute('CREATE TABLE IF NOT EXISTS mail(n INTEGER PRIMARY KEY, text)')\n\
         os.write(1, b'begun\\n')\n\
         for n in range(1, 7):\n\
         \x20   db.execute('INSERT INTO mail VALUES(?, hex(zeroblob(1500)))', (n,)); os.write(1, b'row\\n')\n"
    );
    let look = "import sqlite3\n\
        db = sqlite3.connect('db')\n\
        assert db.execute('PRAGMA integrity_check').fetchall() == [('ok',)]\n\
        if db.execute(\"SELECT * FROM sqlite_master WHERE name = 'mail'\").fetchall():\n\
        \x20   print(*[n for n, in db.execute('SELECT n FROM mail ORDER BY n')])";
    let mut seen = Vec::new();
    for n in 1.. {
        let place = Place::new();
        let run =
            tracer.power_loss_at(n, &place.root(), &place.left(), &python(&place.root(), &code)).unwrap();
        let told = run.stdout.iter().filter(|octet| **octet == b'\n').count().saturating_sub(1);
        let looked = python(&place.left(), look).output().unwrap();
        assert!(looked.status.success(), "{n}, {run:?}: {}", String::from_utf8_lossy(&looked.stderr));
        let rows = String::from_utf8(looked.stdout).unwrap();
        let rows: Vec<usize> = rows.split_whitespace().map(|row| row.parse().unwrap()).collect();
        assert_eq!(rows, (1..=rows.len()).collect::<Vec<_>>(), "{n}: {run:?}");
        seen.push((told, rows.len()));
        if matches!(run.outcome, Outcome::Finished(_)) {
            finished(&run);
            return seen;
        }
    }
    unreachable!("it finishes")
}

#[test]
fn a_database_has_what_was_committed_at_every_call() {
    let seen = database("FULL");
    for (n, (told, there)) in seen.iter().enumerate() {
        // Between the flush and the moment that it is told, a row is there already.
        assert!(there == told || *there == told + 1, "{n}: {told} told, {there} there");
    }
    assert_eq!(seen.last(), Some(&(6, 6)));
    assert!(seen.len() > 50, "{}", seen.len());
}

#[test]
fn a_database_that_does_not_flush_loses_what_was_committed() {
    let seen = database("NORMAL");
    assert!(seen.iter().any(|(told, there)| there < told), "{seen:?}");
}

#[test]
fn the_call_is_not_executed_or_it_is() {
    let tracer = Tracer::build().unwrap();
    let code = "mkdir('a'); mkdir('b'); mkdir('c')";
    for n in 1..=3 {
        for after in [false, true] {
            let place = Place::new();
            let command = python(&place.root(), code);
            let run = if after { tracer.kill_after(n, &command) } else { tracer.kill_at(n, &command) };
            let run = run.unwrap();
            assert_eq!(run.calls, n);
            let call = format!("mkdir({})", ["a", "b", "c"][n as usize - 1]);
            assert_eq!(run.outcome, Outcome::Killed { call });
            assert_eq!(tree(&place.root()).len() as u64, n - 1 + u64::from(after));
        }
    }
    let place = Place::new();
    assert_eq!(tracer.count(&python(&place.root(), code)).unwrap(), 3);
    let place = Place::new();
    let run = tracer.kill_at(4, &python(&place.root(), code)).unwrap();
    finished(&run);
}

#[test]
fn what_leaves_no_trace_does_not_count() {
    let place = Place::new();
    fs::write(place.root().join("f"), "x").unwrap();
    let code = "fd = open('f', O_RDONLY); read(fd, 1); close(fd); listdir('.'); stat('f'); os.write(1, b'said')\n\
        import fcntl; fcntl.fcntl(1, fcntl.F_GETFL)";
    assert_eq!(Tracer::build().unwrap().count(&python(&place.root(), code)).unwrap(), 0);
}

#[test]
fn the_wire_counts() {
    let code = "import socket, threading\n\
        a, b = socket.socketpair()\n\
        a.send(b'1'); b.recv(1); os.write(a.fileno(), b'2'); os.read(b.fileno(), 1); a.close(); b.shutdown(2)\n\
        import fcntl; fd = open('f', O_RDWR | O_CREAT); fcntl.flock(fd, 2); fcntl.lockf(fd, 2)";
    let expected = ["sendto", "recvfrom", "write", "read", "close", "shutdown", "openat", "flock", "fcntl"]
        .map(str::to_owned);
    let place = Place::new();
    let names = (1..=expected.len() as u64).map(|n| {
        let run = Tracer::build().unwrap().kill_at(n, &python(&place.root(), code)).unwrap();
        let Outcome::Killed { call } = run.outcome else { panic!("{run:?}") };
        call.split_once('(').unwrap().0.to_owned()
    });
    assert_eq!(names.collect::<Vec<_>>(), expected);
}

#[test]
fn threads_and_descendants_count_and_die_together() {
    let tracer = Tracer::build().unwrap();
    let place = Place::new();
    // A thread, a child by fork, and a shell with a child of its own; each makes one folder.
    let code = "import threading, subprocess\n\
        thread = threading.Thread(target=lambda: mkdir('1')); thread.start(); thread.join()\n\
        pid = fork()\n\
        if pid == 0: mkdir('2'); _exit(0)\n\
        waitpid(pid, 0)\n\
        system('(mkdir 3; true) & wait; exec mkdir 4')";
    assert_eq!(tracer.count(&python(&place.root(), code)).unwrap(), 4);
    assert_eq!(tree(&place.root()).len(), 4);

    // Two processes that would go on writing, one that would spin for ever and make no calls, and their parent.
    let place = Place::new();
    let code = "\
for at in range(3):\n\
\x20   if fork() == 0:\n\
\x20       setsid()\n\
\x20       if at == 0:\n\
\x20           close(open('0', O_WRONLY | O_CREAT))\n\
\x20           while True: pass\n\
\x20       while True: close(open(str(at), O_WRONLY | O_CREAT | O_APPEND)); fd = open(str(at), O_WRONLY | O_APPEND); write(fd, b'x'); close(fd)\n\
while not all(path.exists(str(at)) for at in range(3)): pass\n\
while True: pass";
    let run = tracer.kill_at(300, &python(&place.root(), code)).unwrap();
    assert!(matches!(run.outcome, Outcome::Killed { .. }));
    let first = tree(&place.root());
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(tree(&place.root()), first, "somebody still writes");
    assert!(!first.is_empty());
}

#[test]
fn flushes_of_several_threads_keep_what_each_was_promised() {
    // Each notes how much there is, flushes it, and says so; the others write and flush the same file meanwhile, and a
    // flush that began early may end late.
    let code = "import threading\n\
        fd = put('f', b'', O_APPEND); flush('.')\n\
        def work():\n\
        \x20   for at in range(25):\n\
        \x20       os.write(fd, b'%06d\\n' % at); size = fstat(fd).st_size; fsync(fd); os.write(1, b'%d\\n' % size)\n\
        threads = [threading.Thread(target=work) for at in range(4)]\n\
        for thread in threads: thread.start()\n\
        for thread in threads: thread.join()";
    let tracer = Tracer::build().unwrap();
    for n in (20..=200).step_by(9) {
        let place = Place::new();
        let run =
            tracer.power_loss_at(n, &place.root(), &place.left(), &python(&place.root(), code)).unwrap();
        let told = String::from_utf8(run.stdout).unwrap();
        let promised = told.lines().map(|size| size.parse::<u64>().unwrap()).max().unwrap_or(0);
        let there = fs::metadata(place.left().join("f")).unwrap().len();
        assert!(promised <= there && there <= 700, "{n}: {promised} promised, {there} there");
        assert_eq!(there % 7, 0, "whole writes");
    }
}

#[test]
fn what_goes_wrong_is_said() {
    let tracer = Tracer::build().unwrap();
    let place = Place::new();

    let run = tracer.kill_at(9, Command::new("sh").args(["-c", "echo no >&2; exit 3"])).unwrap();
    let Outcome::Finished(status) = run.outcome else { panic!("{run:?}") };
    assert_eq!((status.code(), run.stderr.as_slice()), (Some(3), b"no\n".as_slice()));
    assert!(tracer.count(&Command::new("false")).is_err());

    let error = tracer.clone().limit(Duration::from_secs(1)).kill_at(1, Command::new("sleep").arg("30"));
    assert!(error.unwrap_err().to_string().contains("it took too long"));

    let missing = place.root().join("missing");
    let error = tracer.power_loss_at(1, &missing, &place.left(), &Command::new("true")).unwrap_err();
    assert!(error.to_string().contains("missing: No such file"), "{error}");
    let error = tracer.power_loss_at(1, &place.root(), &place.root(), &Command::new("true")).unwrap_err();
    assert!(error.to_string().contains("File exists"), "{error}");
}
