//! The tables of the ledger's file, and how a file of an earlier version becomes one of this.

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// The version of the format, in the file as `PRAGMA user_version`. To change the format, add a step to [`MIGRATIONS`].
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// `PRAGMA application_id`: "popw".
const APPLICATION: i64 = 0x706f_7077;

/// Each step turns the format of its index into the next one. A step that was released is never changed.
const MIGRATIONS: [&str; 3] = [
    "
CREATE TABLE account (
    id       INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,
    complete INTEGER NOT NULL DEFAULT 0     -- 1: no entry of it is missing
) STRICT;

CREATE TABLE message (
    account    INTEGER NOT NULL REFERENCES account (id),
    identity   BLOB NOT NULL,               -- 'u' and the unique-id, or 'h' and the hash of the header
    occurrence INTEGER NOT NULL,
    state      INTEGER NOT NULL,            -- 0 seen, 1 intended, 2 delivered, 3 delete pending, 4 gone
    present    INTEGER NOT NULL,            -- 1: it was in the server's listing of the last session
    listed     INTEGER,                     -- octets by LIST
    octets     INTEGER,                     -- octets as received
    content    BLOB,                        -- their SHA-256
    header     BLOB,
    whole      INTEGER NOT NULL DEFAULT 1,  -- 0: only the header was received
    seen       INTEGER NOT NULL,            -- seconds since 1970
    changed    INTEGER NOT NULL,
    failures   INTEGER NOT NULL DEFAULT 0,
    reason     TEXT,
    PRIMARY KEY (account, identity, occurrence)
) STRICT, WITHOUT ROWID;

CREATE TABLE destination (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- Only of messages that some destinations lack.
CREATE TABLE delivery (
    account     INTEGER NOT NULL,
    identity    BLOB NOT NULL,
    occurrence  INTEGER NOT NULL,
    destination INTEGER NOT NULL REFERENCES destination (id),
    done        INTEGER NOT NULL,           -- 1: it surely has it
    PRIMARY KEY (account, identity, occurrence, destination)
) STRICT, WITHOUT ROWID;
",
    "
-- How the last run of each account ended.
CREATE TABLE run (
    account   INTEGER PRIMARY KEY REFERENCES account (id),
    at        INTEGER NOT NULL,             -- seconds since 1970
    good      INTEGER,                      -- when the last one ended that did all it was to do
    exit      INTEGER NOT NULL,             -- 0: all done
    delivered INTEGER NOT NULL,             -- messages
    failed    INTEGER NOT NULL,             -- messages left on the server
    reason    TEXT
) STRICT;
",
    "
-- How many runs in a row did not do all they were to do.
ALTER TABLE run ADD COLUMN bad INTEGER NOT NULL DEFAULT 0;
",
];

/// What kind of file it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A ledger of this version or an earlier one, or an empty file.
    Ours,
    Newer(i64),
    Foreign,
}

pub(super) fn kind(connection: &Connection) -> rusqlite::Result<Kind> {
    // One view: another process may be making the tables.
    let _transaction = connection.unchecked_transaction()?;
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match application {
        APPLICATION if version > VERSION => Kind::Newer(version),
        APPLICATION => Kind::Ours,
        0 if tables == 0 => Kind::Ours,
        _ => Kind::Foreign,
    })
}

/// Brings the file to this version. Another process may do so at the same moment: one of them finds it done.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let version = |connection: &Connection| {
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
    };
    if version(connection)? == VERSION {
        return Ok(());
    }
    let transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
    let from = usize::try_from(version(&transaction)?).unwrap_or(0);
    for step in MIGRATIONS.iter().skip(from) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}
