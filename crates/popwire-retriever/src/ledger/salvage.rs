//! What is done with a ledger that is damaged: it is put aside, and what can be read of it is taken over.
//!
//! What could not be read is not known to be missing, so every account counts as one that may have forgotten something:
//! what is fetched then is looked for in the destinations first.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OpenFlags, params_from_iter};

use super::sqlite::io_error;
use super::{LedgerError, LedgerErrorKind, schema};
use crate::flock::{self, Hold};
use crate::folder;

/// That a ledger was damaged, and what was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvage {
    /// Where the damaged file was put.
    pub damaged: PathBuf,
    /// How many entries were taken over from it.
    pub saved: u64,
}

/// How long to wait for other processes to let go of the file.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether this is what SQLite says of a file that it cannot make sense of.
pub(super) fn tells_damage(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => true,
        // Where a page is missing at the end of the file.
        Some(ErrorCode::SystemIoFailure) => {
            matches!(error, rusqlite::Error::SqliteFailure(failure, _)
                if failure.extended_code == rusqlite::ffi::SQLITE_IOERR_SHORT_READ)
        }
        _ => false,
    }
}

/// Looks over the whole file: it is better to know before the first message than in the middle of them.
///
/// # Errors
///
/// One that [`tells_damage`], among others.
pub(super) fn check(connection: &Connection) -> rusqlite::Result<()> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(rusqlite::Error::SqliteFailure(code, Some(verdict)))
}

/// Held, shared, by everybody who uses the ledger at `path`.
pub(super) fn lock(path: &Path) -> Result<File, LedgerError> {
    let path = beside(path, ".lock");
    let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = open.map_err(|source| io_error(&path, "opening", source))?;
    flock::take(&file, Hold::Shared, PATIENCE).map_err(|source| io_error(&path, "locking", source))?;
    Ok(file)
}

/// Puts the ledger at `path` aside and makes a new one of what can be read of it. `lock` is ours, shared.
pub(super) fn salvage(path: &Path, lock: &File) -> Result<Salvage, LedgerError> {
    // Nobody else may have it open: what they wrote into the old file would be forgotten.
    let locking = |source| io_error(path, "locking", source);
    flock::take(lock, Hold::Alone, PATIENCE).map_err(locking)?;
    let damaged = free_name(path);
    let made = rescue(path, &damaged);
    flock::take(lock, Hold::Shared, PATIENCE).map_err(locking)?;
    Ok(Salvage { saved: made?, damaged })
}

fn rescue(path: &Path, damaged: &Path) -> Result<u64, LedgerError> {
    let failed = |doing, source| io_error(path, doing, source);
    // Made beside it, and put in its place when it is whole: a crash on the way finds the damaged one again.
    let fresh = beside(path, ".new");
    remove(&fresh, &["", "-wal", "-shm", "-journal"])?;
    for suffix in ["", "-wal"] {
        match fs::copy(beside(path, suffix), beside(damaged, suffix)) {
            Err(reason) if reason.kind() != io::ErrorKind::NotFound => return Err(failed("copying", reason)),
            _ => {}
        }
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)
        .map_err(|reason| failed("creating", reason))?;
    let saved = (|| {
        let mut new = Connection::open(&fresh)?;
        new.pragma_update(None, "synchronous", "FULL")?;
        schema::migrate(&mut new)?;
        let saved = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .map_or(Ok(0), |old| take_over(&old, &mut new))?;
        new.close().map_err(|(_, error)| error)?;
        Ok(saved)
    })()
    .map_err(|error| LedgerError::new(&fresh, LedgerErrorKind::Sqlite(error)))?;

    // These belong to the old file; the new one must not find them.
    remove(path, &["-wal", "-shm", "-journal"])?;
    File::open(&fresh)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(&fresh, path))
        .map_err(|reason| failed("replacing", reason))?;
    folder::sync_parent(path, true).map_err(|error| io_error(&error.path, error.doing, error.source))?;
    Ok(saved)
}

/// The tables, the columns that are their keys first, and then the others.
const TABLES: [(&str, &[&str], &[&str]); 5] = [
    ("account", &["id"], &["name"]),
    ("destination", &["id"], &["name"]),
    (
        "message",
        &["account", "identity", "occurrence"],
        &[
            "state", "present", "listed", "octets", "content", "header", "whole", "seen", "changed",
            "failures", "reason",
        ],
    ),
    ("run", &["account"], &["at", "good", "exit", "delivered", "failed", "reason"]),
    ("delivery", &["account", "identity", "occurrence", "destination"], &["done"]),
];

/// Copies all rows that can be read. Returns how many messages there are among them.
fn take_over(old: &Connection, new: &mut Connection) -> rusqlite::Result<u64> {
    // Without this SQLite reads nothing of a file that is shorter than its header says. Nothing is written.
    old.pragma_update(None, "writable_schema", true)?;
    let transaction = new.transaction()?;
    let mut saved = 0;
    for (table, keys, others) in TABLES {
        let columns = [keys, others].concat();
        let marks = vec!["?"; columns.len()].join(", ");
        let insert = format!("INSERT OR IGNORE INTO {table} ({}) VALUES ({marks})", columns.join(", "));
        let rows = Table { old, name: table, keys, columns };
        let mut insert = transaction.prepare(&insert)?;
        let mut take = |row: Vec<Value>| -> rusqlite::Result<()> {
            // A row that the new table does not take is no row of ours.
            let taken = insert.execute(params_from_iter(row)).unwrap_or(0);
            saved += if table == "message" { taken as u64 } else { 0 };
            Ok(())
        };
        for_each_row(&rows, &mut take)?;
    }
    // Of messages whose account was lost nothing can be told.
    transaction.execute("DELETE FROM message WHERE account NOT IN (SELECT id FROM account)", [])?;
    transaction.execute("DELETE FROM delivery WHERE account NOT IN (SELECT id FROM account)", [])?;
    transaction.execute("DELETE FROM run WHERE account NOT IN (SELECT id FROM account)", [])?;
    transaction.execute("UPDATE account SET complete = 0", [])?;
    transaction.commit()?;
    Ok(saved)
}

/// Reads a table upwards to where a page cannot be read; goes on behind the damage at the next key that can be found, and
/// from there also downwards, up to the damage.
fn for_each_row(
    table: &Table<'_>,
    take: &mut dyn FnMut(Vec<Value>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut last = match table.read(&[], Order::Up, take)? {
        Read::ToTheEnd => return Ok(()),
        Read::UpTo(last) => last,
    };
    while let Some(read) = last {
        let Some(found) = beyond(&read).find(|key| table.is_readable_at(key)) else { break };
        table.read(&found, Order::Down, take)?;
        last = match table.read(&found, Order::Up, take)? {
            Read::ToTheEnd => return Ok(()),
            Read::UpTo(further) => further,
        };
    }
    table.read(&[], Order::Down, take).map(drop)
}

struct Table<'a> {
    old: &'a Connection,
    name: &'static str,
    keys: &'static [&'static str],
    columns: Vec<&'static str>,
}

#[derive(Clone, Copy)]
enum Order {
    Up,
    Down,
}

enum Read {
    ToTheEnd,
    /// An error came behind this key; behind none where the first row could not be read.
    UpTo(Option<Vec<Value>>),
}

impl Table<'_> {
    /// Reads from this key on, itself included upwards; from the end where it is empty.
    fn read(
        &self,
        from: &[Value],
        order: Order,
        take: &mut dyn FnMut(Vec<Value>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<Read> {
        let (sign, direction) = match order {
            Order::Up => (">=", ""),
            Order::Down => ("<", " DESC"),
        };
        let marks = vec!["?"; from.len()].join(", ");
        let keys = self.keys.join(", ");
        let condition =
            if from.is_empty() { String::new() } else { format!("WHERE ({keys}) {sign} ({marks})") };
        let ordered: Vec<String> = self.keys.iter().map(|key| format!("{key}{direction}")).collect();
        let (columns, ordered) = (self.columns.join(", "), ordered.join(", "));
        let query = format!("SELECT {columns} FROM {} {condition} ORDER BY {ordered}", self.name);
        let mut last = None;
        let Ok(mut statement) = self.old.prepare(&query) else { return Ok(Read::UpTo(last)) };
        let Ok(mut rows) = statement.query(params_from_iter(from)) else { return Ok(Read::UpTo(last)) };
        loop {
            let Ok(row) = rows.next() else { return Ok(Read::UpTo(last)) };
            let Some(row) = row else { return Ok(Read::ToTheEnd) };
            let values: rusqlite::Result<Vec<Value>> =
                (0..self.columns.len()).map(|at| row.get(at)).collect();
            let Ok(values) = values else { return Ok(Read::UpTo(last)) };
            last = values.get(..self.keys.len()).map(<[Value]>::to_vec);
            take(values)?;
        }
    }

    /// Whether there is a row at this key or above it, and can be read.
    fn is_readable_at(&self, key: &[Value]) -> bool {
        let mut found = false;
        let stop = || rusqlite::Error::QueryReturnedMoreThanOneRow;
        let _ = self.read(key, Order::Up, &mut |_| {
            found = true;
            Err(stop())
        });
        found
    }
}

/// Keys above this one, the nearest first.
fn beyond(key: &[Value]) -> impl Iterator<Item = Vec<Value>> {
    /// Unique-ids differ in their first 70 octets, or their server is no server (RFC 1939 section 7).
    const PLACES: usize = 70;
    let raised = move |at: usize, value: Value| -> Vec<Value> {
        key.iter().take(at).cloned().chain([value]).chain(key.iter().skip(at + 1).cloned()).collect()
    };
    (0..key.len()).rev().flat_map(move |at| {
        let mut ways = Vec::new();
        match key.get(at) {
            Some(Value::Integer(number)) => {
                ways.extend((0..40).map(|power| Value::Integer(number.saturating_add(1 << power))));
            }
            Some(Value::Blob(octets)) => {
                for (place, octet) in octets.iter().enumerate().take(PLACES).rev() {
                    let head = octets.get(..place).unwrap_or_default();
                    ways.extend((*octet..u8::MAX).map(|below| Value::Blob([head, &[below + 1]].concat())));
                }
            }
            _ => {}
        }
        ways.into_iter().map(move |way| raised(at, way))
    })
}

fn remove(path: &Path, suffixes: &[&str]) -> Result<(), LedgerError> {
    for suffix in suffixes {
        match fs::remove_file(beside(path, suffix)) {
            Err(reason) if reason.kind() != io::ErrorKind::NotFound => {
                return Err(io_error(path, "replacing", reason));
            }
            _ => {}
        }
    }
    Ok(())
}

fn free_name(path: &Path) -> PathBuf {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let name = |more: u32| match more {
        0 => beside(path, &format!(".damaged-{now}")),
        more => beside(path, &format!(".damaged-{now}.{more}")),
    };
    (0..u32::MAX).map(name).find(|name| !name.exists()).unwrap_or_else(|| name(0))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
