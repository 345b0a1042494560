//! The ledger of one machine: a file of SQLite's, which several processes may use at once.

use std::cell::Cell;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, TransactionBehavior, params};
use sha2::{Digest as _, Sha256};

use super::{
    AccountLock, Change, Entry, Known, LastRun, Ledger, LedgerError, LedgerErrorKind, Received, Recollection,
    RunNote, Salvage, State, salvage, schema,
};
use crate::flock::{self, Hold};
use crate::folder;
use crate::identity::{AccountKey, Hash, Identity, MessageKey};

/// How long one process waits for another that is writing. A write takes milliseconds, unless the disk hangs.
const BUSY: Duration = Duration::from_secs(60);

/// A [`Ledger`] in a file, in SQLite's format, in its write-ahead mode: what a transaction wrote is on the disk when it
/// ends, and readers do not wait for writers.
#[derive(Debug)]
pub struct SqliteLedger {
    path: PathBuf,
    connection: Mutex<Connection>,
    salvage: Option<Salvage>,
    /// Held for as long as the file is used, so that nobody salvages it meanwhile.
    _lock: File,
}

impl SqliteLedger {
    /// Opens the ledger at `path`, and creates it, with the folders above it, where it is missing. It is readable for its
    /// owner only. A damaged file is put aside under another name, and what can be read of it is taken over: see
    /// [`salvage`](Self::salvage).
    ///
    /// ```
    /// use popwire_retriever::{AccountKey, Change, Ledger, MessageKey, SqliteLedger, State};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let home = tempfile::tempdir()?;
    ///
    /// let ledger = SqliteLedger::open(home.path().join("ledger.sqlite3"))?;
    /// let account = AccountKey::new("alice", "pop.example.org", 995);
    /// let key = MessageKey::unique_id("00012f3a");
    /// // Never to be fetched, as if it had been delivered:
    /// ledger.record(&account, &[Change::Delivered { key: key.clone(), received: None }])?;
    /// assert_eq!(ledger.entry(&account, &key)?.map(|entry| entry.state), Some(State::Delivered));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If it cannot be created, opened or read, was made by a newer popwire, or is another program's.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        let path = std::path::absolute(path.as_ref())
            .map_err(|source| io_error(path.as_ref(), "finding", source))?;
        if let Some(parent) = path.parent() {
            folder::make(parent).map_err(|error| io_error(&error.path, error.doing, error.source))?;
        }
        let lock = salvage::lock(&path)?;
        // So that nobody else may read it; SQLite gives its other files the same rights.
        let created = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        created.map_err(|source| io_error(&path, "opening", source))?;
        match connect(&path) {
            Err(error) if error.is_damaged() => {
                let salvage = salvage::salvage(&path, &lock)?;
                let connection = connect(&path)?;
                Ok(Self { path, connection: Mutex::new(connection), salvage: Some(salvage), _lock: lock })
            }
            connection => Ok(Self { connection: Mutex::new(connection?), path, salvage: None, _lock: lock }),
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was done when it was opened, if the file was found damaged. Whoever opens a ledger should say it to a person.
    #[must_use]
    pub fn salvage(&self) -> Option<&Salvage> {
        self.salvage.as_ref()
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic in between leaves no transaction open: dropping one undoes it.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, error: rusqlite::Error) -> LedgerError {
        LedgerError::new(&self.path, LedgerErrorKind::Sqlite(error))
    }
}

impl Ledger for SqliteLedger {
    fn lock(&self, account: &AccountKey) -> Result<AccountLock, LedgerError> {
        // Any text may be an account's name, and not any text a file's.
        let digest = Sha256::digest(account.as_str());
        let name: String = digest.iter().take(8).map(|octet| format!("{octet:02x}")).collect();
        let path = self.path.with_file_name(format!("account-{name}.lock"));
        let open = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = open.map_err(|source| io_error(&path, "opening", source))?;
        match flock::take(&file, Hold::Alone, Duration::ZERO) {
            Ok(()) => Ok(AccountLock::new(file)),
            Err(reason) if reason.kind() == io::ErrorKind::WouldBlock => {
                Err(LedgerError::new(path, LedgerErrorKind::Locked { account: account.clone() }))
            }
            Err(source) => Err(io_error(&path, "locking", source)),
        }
    }

    fn recall(&self, account: &AccountKey, listed: &[MessageKey]) -> Result<Recollection, LedgerError> {
        let mut connection = self.connection();
        recall(&mut connection, account, listed).map_err(|error| self.failed(error))
    }

    fn entry(&self, account: &AccountKey, key: &MessageKey) -> Result<Option<Entry>, LedgerError> {
        let connection = self.connection();
        let query = format!("{ENTRY} WHERE account = {ACCOUNT} AND identity = ?2 AND occurrence = ?3");
        let found = connection.prepare_cached(&query).and_then(|mut statement| {
            statement
                .query_row(params![account.as_str(), key.identity.to_octets(), key.occurrence], entry)
                .optional()
        });
        Ok(found.map_err(|error| self.failed(error))?.flatten())
    }

    fn unfinished(&self, account: &AccountKey) -> Result<Vec<(Entry, Vec<String>)>, LedgerError> {
        let intended = {
            let connection = self.connection();
            let query = format!("{ENTRY} WHERE account = {ACCOUNT} AND state = {}", number(State::Intended));
            let found = connection.prepare(&query).and_then(|mut statement| {
                let rows = statement.query_map([account.as_str()], entry)?;
                rows.filter_map(Result::transpose).collect::<rusqlite::Result<Vec<_>>>()
            });
            found.map_err(|error| self.failed(error))?
        };
        intended
            .into_iter()
            .map(|entry| {
                let deliveries = self.deliveries(account, &entry.key)?;
                Ok((entry, deliveries))
            })
            .collect()
    }

    fn deliveries(&self, account: &AccountKey, key: &MessageKey) -> Result<Vec<String>, LedgerError> {
        let connection = self.connection();
        let query = format!(
            "SELECT name FROM delivery JOIN destination ON destination.id = delivery.destination \
             WHERE account = {ACCOUNT} AND identity = ?2 AND occurrence = ?3 AND done ORDER BY name"
        );
        let found = connection.prepare_cached(&query).and_then(|mut statement| {
            let key = params![account.as_str(), key.identity.to_octets(), key.occurrence];
            statement.query_map(key, |row| row.get(0))?.collect()
        });
        found.map_err(|error| self.failed(error))
    }

    fn record(&self, account: &AccountKey, changes: &[Change]) -> Result<(), LedgerError> {
        if changes.is_empty() {
            return Ok(());
        }
        record(&mut self.connection(), account, changes).map_err(|error| self.failed(error))
    }

    fn entries(&self, account: &AccountKey, each: &mut dyn FnMut(Entry) -> bool) -> Result<(), LedgerError> {
        let connection = self.connection();
        let query = format!("{ENTRY} WHERE account = {ACCOUNT} ORDER BY identity, occurrence");
        let read = || {
            let mut statement = connection.prepare(&query)?;
            let mut rows = statement.query([account.as_str()])?;
            while let Some(row) = rows.next()? {
                if let Some(entry) = entry(row)?
                    && !each(entry)
                {
                    break;
                }
            }
            Ok(())
        };
        let mut read = read;
        read().map_err(|error| self.failed(error))
    }

    fn accounts(&self) -> Result<Vec<AccountKey>, LedgerError> {
        let connection = self.connection();
        let found = connection.prepare("SELECT name FROM account ORDER BY name").and_then(|mut statement| {
            let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
            rows.map(|name| Ok(AccountKey::from_name(&name?))).collect()
        });
        found.map_err(|error| self.failed(error))
    }

    fn note_run(&self, account: &AccountKey, run: &RunNote) -> Result<(), LedgerError> {
        let mut connection = self.connection();
        let note = || {
            let transaction = Transaction::new(&mut connection, TransactionBehavior::Immediate)?;
            let id = account_id_or_new(&transaction, account)?;
            let now = seconds(SystemTime::now());
            transaction.execute(
                "INSERT INTO run (account, at, good, exit, delivered, failed, reason, bad) \
                 VALUES (?1, ?2, iif(?3 = 0, ?2, NULL), ?3, ?4, ?5, ?6, ?3 <> 0) \
                 ON CONFLICT DO UPDATE SET at = ?2, good = iif(?3 = 0, ?2, good), exit = ?3, delivered = ?4, \
                 failed = ?5, reason = ?6, bad = iif(?3 = 0, 0, min(bad + 1, 4294967295))",
                params![id, now, run.exit, size(Some(run.delivered)), size(Some(run.failed)), run.reason],
            )?;
            transaction.commit()
        };
        let mut note = note;
        note().map_err(|error| self.failed(error))
    }

    fn last_run(&self, account: &AccountKey) -> Result<Option<LastRun>, LedgerError> {
        let connection = self.connection();
        let query = format!(
            "SELECT at, good, exit, delivered, failed, reason, bad FROM run WHERE account = {ACCOUNT}"
        );
        let found = connection.query_row(&query, [account.as_str()], |row| {
            let run = RunNote {
                exit: row.get(2)?,
                delivered: octets(row, 3)?.unwrap_or(0),
                failed: octets(row, 4)?.unwrap_or(0),
                reason: row.get(5)?,
            };
            let good = row.get::<_, Option<i64>>(1)?.map(time);
            Ok(LastRun { at: time(row.get(0)?), good, bad: row.get(6)?, run })
        });
        found.optional().map_err(|error| self.failed(error))
    }

    fn may_have_forgotten(&self, account: &AccountKey) -> Result<bool, LedgerError> {
        let complete = self
            .connection()
            .query_row("SELECT complete FROM account WHERE name = ?1", [account.as_str()], |row| {
                row.get::<_, bool>(0)
            })
            .optional();
        Ok(!complete.map_err(|error| self.failed(error))?.unwrap_or(false))
    }
}

const ACCOUNT: &str = "(SELECT id FROM account WHERE name = ?1)";

const ENTRY: &str = "SELECT identity, occurrence, state, present, listed, octets, content, header, seen, changed, \
                     failures, reason FROM message";

/// A row of [`ENTRY`]; none where it has values that no popwire of this version writes.
pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<Option<Entry>> {
    let Some(identity) = Identity::from_octets(row.get_ref(0)?.as_blob()?) else { return Ok(None) };
    let Some(state) = state(row.get(2)?) else { return Ok(None) };
    Ok(Some(Entry {
        key: MessageKey::new(identity, row.get(1)?),
        state,
        present: row.get(3)?,
        listed: octets(row, 4)?,
        octets: octets(row, 5)?,
        content: hash(row, 6)?,
        header: hash(row, 7)?,
        seen: time(row.get(8)?),
        changed: time(row.get(9)?),
        failures: row.get(10)?,
        reason: row.get(11)?,
    }))
}

fn connect(path: &Path) -> Result<Connection, LedgerError> {
    let open = || {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        match schema::kind(&connection)? {
            schema::Kind::Ours => {}
            schema::Kind::Newer(version) => return Ok(Err(LedgerErrorKind::Newer { version })),
            schema::Kind::Foreign => return Ok(Err(LedgerErrorKind::NotALedger)),
        }
        // Where the file system cannot do it, SQLite goes on with its rollback journal; EXTRA flushes the folder too there.
        let mode: String =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        let synchronous = if mode == "wal" { "FULL" } else { "EXTRA" };
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.set_prepared_statement_cache_capacity(32);
        schema::migrate(&mut connection)?;
        salvage::check(&connection)?;
        Ok(Ok(connection))
    };
    match open() {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(kind)) => Err(LedgerError::new(path, kind)),
        Err(error) => Err(LedgerError::new(path, LedgerErrorKind::Sqlite(error))),
    }
}

fn recall(
    connection: &mut Connection,
    account: &AccountKey,
    listed: &[MessageKey],
) -> rusqlite::Result<Recollection> {
    // One view of the ledger for all of it.
    let transaction = connection.transaction()?;
    let id = account_id(&transaction, account)?;
    let mut found = Recollection { known: vec![None; listed.len()], vanished: Vec::new() };
    let Some(id) = id else { return Ok(found) };
    let mut present: i64 = transaction.query_row(
        "SELECT count(*) FROM message WHERE account = ?1 AND present",
        [id],
        |row| row.get(0),
    )?;
    let mut statement = transaction.prepare_cached(
        "SELECT state, present, listed, seen, failures, whole FROM message \
         WHERE account = ?1 AND identity = ?2 AND occurrence = ?3",
    )?;
    for (key, known) in listed.iter().zip(&mut found.known) {
        let mut rows = statement.query(params![id, key.identity.to_octets(), key.occurrence])?;
        if let Some(row) = rows.next()?
            && let Some(state) = state(row.get(0)?)
        {
            let one = Known {
                state,
                present: row.get(1)?,
                listed: octets(row, 2)?,
                seen: time(row.get(3)?),
                failures: row.get(4)?,
                whole: row.get(5)?,
            };
            present -= i64::from(one.present);
            *known = Some(one);
        }
    }
    if present > 0 {
        let listed: HashSet<&MessageKey> = listed.iter().collect();
        let mut statement = transaction.prepare_cached(&format!("{ENTRY} WHERE account = ?1 AND present"))?;
        let mut rows = statement.query([id])?;
        while let Some(row) = rows.next()? {
            found.vanished.extend(entry(row)?.filter(|entry| !listed.contains(&entry.key)));
        }
    }
    Ok(found)
}

fn record(connection: &mut Connection, account: &AccountKey, changes: &[Change]) -> rusqlite::Result<()> {
    // At once for writing: a transaction that begins by reading may have to be undone when another writes meanwhile.
    let transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
    let id = account_id_or_new(&transaction, account)?;
    let now = seconds(SystemTime::now());
    let writer = Writer { transaction: &transaction, account: id, now, noted: Cell::default() };
    changes.iter().try_for_each(|change| writer.write(change))?;
    transaction.commit()
}

fn account_id_or_new(transaction: &Transaction<'_>, account: &AccountKey) -> rusqlite::Result<i64> {
    if let Some(id) = account_id(transaction, account)? {
        return Ok(id);
    }
    transaction.execute("INSERT INTO account (name) VALUES (?1)", [account.as_str()])?;
    Ok(transaction.last_insert_rowid())
}

fn account_id(connection: &Connection, account: &AccountKey) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT id FROM account WHERE name = ?1")?;
    statement.query_row([account.as_str()], |row| row.get(0)).optional()
}

struct Writer<'a> {
    transaction: &'a Transaction<'a>,
    account: i64,
    now: i64,
    /// Whether there is any row about destinations, once that was asked. Mostly there is none.
    noted: Cell<Option<bool>>,
}

impl Writer<'_> {
    fn write(&self, change: &Change) -> rusqlite::Result<()> {
        match change {
            Change::Listed { key, octets } => self.upsert(
                key,
                "present, listed) VALUES (?1, ?2, ?3, 0, ?4, ?4, 1, ?5",
                "present = 1, listed = ?5",
                &[size(*octets)],
            ),
            Change::Vanished { key } => self.update(key, "present = 0"),
            Change::Intended { key, received } => {
                self.received(INTENDED, key, State::Intended, Some(received))
            }
            Change::Has { key, destination } => self.has(key, destination),
            Change::Delivered { key, received } => {
                self.received(DELIVERED, key, State::Delivered, received.as_ref())?;
                if self.is_noted()? { self.delete("delivery", key) } else { Ok(()) }
            }
            Change::Undelivered { key } => {
                self.change(key, State::Seen, &format!("state = {}", number(State::Intended)))
            }
            Change::Failed { key, reason } => self.upsert(
                key,
                "present, failures, reason) VALUES (?1, ?2, ?3, 0, ?4, ?4, 1, 1, ?5",
                "failures = failures + 1, reason = ?5",
                &[Value::Text(reason.clone())],
            ),
            Change::Since { key, seen } => {
                let query = "UPDATE message SET seen = min(seen, ?4) \
                             WHERE account = ?1 AND identity = ?2 AND occurrence = ?3";
                let values = params![self.account, key.identity.to_octets(), key.occurrence, seconds(*seen)];
                self.transaction.prepare_cached(query)?.execute(values).map(drop)
            }
            Change::Forgiven { key } => self.update(key, "failures = 0, reason = NULL"),
            Change::DeletePending { key } => self.change(key, State::DeletePending, "1"),
            Change::Gone { key } => {
                self.change(key, State::Gone, "1")?;
                self.update(key, "present = 0")
            }
            Change::Renamed { key, to } => {
                self.forget(to)?;
                for table in ["message", "delivery"] {
                    let query = format!(
                        "UPDATE {table} SET identity = ?4, occurrence = ?5 \
                         WHERE account = ?1 AND identity = ?2 AND occurrence = ?3"
                    );
                    self.transaction.prepare_cached(&query)?.execute(params![
                        self.account,
                        key.identity.to_octets(),
                        key.occurrence,
                        to.identity.to_octets(),
                        to.occurrence
                    ])?;
                }
                Ok(())
            }
            Change::Forgotten { key } => self.forget(key),
            Change::Complete | Change::Incomplete => {
                let complete = matches!(change, Change::Complete);
                let query = "UPDATE account SET complete = ?2 WHERE id = ?1";
                self.transaction.execute(query, params![self.account, complete]).map(drop)
            }
        }
    }

    /// Writes an entry with what was received, or leaves what is known of that.
    fn received(
        &self,
        query: &str,
        key: &MessageKey,
        state: State,
        received: Option<&Received>,
    ) -> rusqlite::Result<()> {
        let octets = |octets: u64| i64::try_from(octets).unwrap_or(i64::MAX);
        self.transaction
            .prepare_cached(query)?
            .execute(params![
                self.account,
                key.identity.to_octets(),
                key.occurrence,
                self.now,
                number(state),
                received.map(|received| octets(received.octets)),
                received.map(|received| &received.content[..]),
                received.map(|received| &received.header[..]),
                received.and_then(|received| received.listed).map(octets),
                received.map(|received| received.whole),
            ])
            .map(drop)
    }

    /// Adds an entry, or changes the one that there is.
    fn upsert(
        &self,
        key: &MessageKey,
        columns: &str,
        update: &str,
        values: &[Value],
    ) -> rusqlite::Result<()> {
        let query = format!(
            "INSERT INTO message (account, identity, occurrence, state, seen, changed, {columns}) \
             ON CONFLICT DO UPDATE SET {update}"
        );
        let key = [
            Value::Integer(self.account),
            Value::Blob(key.identity.to_octets()),
            Value::Integer(key.occurrence.into()),
            Value::Integer(self.now),
        ];
        let values = rusqlite::params_from_iter(key.iter().chain(values));
        self.transaction.prepare_cached(&query)?.execute(values).map(drop)
    }

    fn change(&self, key: &MessageKey, state: State, condition: &str) -> rusqlite::Result<()> {
        let query = format!(
            "UPDATE message SET state = ?4, changed = ?5 \
             WHERE account = ?1 AND identity = ?2 AND occurrence = ?3 AND {condition}"
        );
        let values = params![self.account, key.identity.to_octets(), key.occurrence, number(state), self.now];
        self.transaction.prepare_cached(&query)?.execute(values).map(drop)
    }

    fn update(&self, key: &MessageKey, update: &str) -> rusqlite::Result<()> {
        let query =
            format!("UPDATE message SET {update} WHERE account = ?1 AND identity = ?2 AND occurrence = ?3");
        let key = params![self.account, key.identity.to_octets(), key.occurrence];
        self.transaction.prepare_cached(&query)?.execute(key).map(drop)
    }

    fn has(&self, key: &MessageKey, destination: &str) -> rusqlite::Result<()> {
        self.noted.set(Some(true));
        let insert = "INSERT INTO destination (name) VALUES (?1) ON CONFLICT DO NOTHING";
        self.transaction.prepare_cached(insert)?.execute([destination])?;
        // Once there were rows of what was only intended for a destination, and not done.
        let query = "INSERT INTO delivery (account, identity, occurrence, destination, done) \
                     VALUES (?1, ?2, ?3, (SELECT id FROM destination WHERE name = ?4), 1) \
                     ON CONFLICT DO UPDATE SET done = 1";
        let values = params![self.account, key.identity.to_octets(), key.occurrence, destination];
        self.transaction.prepare_cached(query)?.execute(values).map(drop)
    }

    fn is_noted(&self) -> rusqlite::Result<bool> {
        if let Some(noted) = self.noted.get() {
            return Ok(noted);
        }
        let query = "SELECT EXISTS (SELECT 1 FROM delivery WHERE account = ?1)";
        let noted = self.transaction.prepare_cached(query)?.query_row([self.account], |row| row.get(0))?;
        self.noted.set(Some(noted));
        Ok(noted)
    }

    fn forget(&self, key: &MessageKey) -> rusqlite::Result<()> {
        self.delete("delivery", key)?;
        self.delete("message", key)
    }

    fn delete(&self, table: &str, key: &MessageKey) -> rusqlite::Result<()> {
        let query = format!("DELETE FROM {table} WHERE account = ?1 AND identity = ?2 AND occurrence = ?3");
        let key = params![self.account, key.identity.to_octets(), key.occurrence];
        self.transaction.prepare_cached(&query)?.execute(key).map(drop)
    }
}

/// A statement that writes an entry with what was received, new or not. Each message needs two of these, so they do all that
/// there is to do in one.
macro_rules! received {
    ($also:literal) => {
        concat!(
            "INSERT INTO message (account, identity, occurrence, state, seen, changed, present, octets, content, header, \
             listed, whole) VALUES (?1, ?2, ?3, ?5, ?4, ?4, 1, ?6, ?7, ?8, ?9, coalesce(?10, 1)) \
             ON CONFLICT DO UPDATE SET state = ?5, changed = ?4, octets = coalesce(?6, octets), \
             content = coalesce(?7, content), header = coalesce(?8, header), listed = coalesce(?9, listed), \
             whole = coalesce(?10, whole)",
            $also
        )
    };
}
const INTENDED: &str = received!("");
const DELIVERED: &str = received!(", failures = 0, reason = NULL");

fn number(state: State) -> i64 {
    State::ALL.iter().position(|one| *one == state).map_or(0, |at| at as i64)
}

fn state(number: i64) -> Option<State> {
    State::ALL.get(usize::try_from(number).ok()?).copied()
}

/// SQLite's numbers end at 8 EiB, and so does what a message can have.
fn size(octets: Option<u64>) -> Value {
    octets.map_or(Value::Null, |octets| Value::Integer(i64::try_from(octets).unwrap_or(i64::MAX)))
}

fn octets(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    Ok(row.get::<_, Option<i64>>(column)?.and_then(|octets| u64::try_from(octets).ok()))
}

fn hash(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Hash>> {
    Ok(row.get_ref(column)?.as_blob_or_null()?.and_then(|octets| octets.try_into().ok()))
}

fn seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

fn time(seconds: i64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).unwrap_or(0))).unwrap_or(UNIX_EPOCH)
}

pub(super) fn io_error(path: &Path, doing: &'static str, source: io::Error) -> LedgerError {
    LedgerError::new(path, LedgerErrorKind::Io { doing, source })
}
