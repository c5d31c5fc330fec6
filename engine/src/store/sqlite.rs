//! The embedded store: one SQLite file.
//!
//! An operator can open it with `sqlite3`; `schema.sql` beside this module says what is where. A
//! copy that can be restored, made while the engine runs:
//!
//! ```sh
//! sqlite3 data/harvestman.db "VACUUM INTO 'backup.db'"
//! ```

mod database;
mod idempotency;
mod jobs;
mod keys;
mod outbox;
mod row;
mod uploads;

use std::{fs, path::Path, sync::Arc};

use rusqlite_migration::{M, Migrations};

use self::database::Database;
use crate::{Error, Result, lock::LockedDirectory, seal::Sealer, store::KeyStore};

/// The steps from an empty file to the present schema; a step that was released never changes.
const STEPS: &[M<'static>] = &[M::up(include_str!("sqlite/schema.sql"))];
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

/// The store's file in its directory.
const FILE: &str = "harvestman.db";
/// The key that secrets are sealed with, unless the host has one of its own.
const KEY_FILE: &str = "sealing.key";

/// Keeps everything in an SQLite file, with write-ahead log and `synchronous = FULL`: what was
/// answered survives a power cut.
///
/// The directory is locked while the store is there (the lock dies with the process): a second
/// engine on it is refused. So all leases of an earlier process are void, and its jobs can be
/// claimed at once. Writes go one after the other over one connection, reads beside them over
/// several.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    database: Database,
    sealer: Sealer,
    _directory: Option<Arc<LockedDirectory>>,
}

impl SqliteStore {
    /// Opens the store in a directory, or makes it, with a sealing key in a file beside it. Blocks.
    ///
    /// Brings its schema up to date and looks through its pages: [`Error::Damaged`] for a file that
    /// is no database, is torn, or was made by a newer version; [`Error::Locked`] while another
    /// process has the directory.
    ///
    /// [`Error::Damaged`]: crate::Error::Damaged
    /// [`Error::Locked`]: crate::Error::Locked
    pub fn open(directory: &Path) -> Result<Self> {
        let locked = LockedDirectory::open(directory)?;
        let sealer = Sealer::from_file(&directory.join(KEY_FILE))?;
        Self::open_locked(locked, sealer)
    }

    /// As [`open`](Self::open), with a sealing key of the host's own.
    pub fn open_with(directory: &Path, sealer: Sealer) -> Result<Self> {
        Self::open_locked(LockedDirectory::open(directory)?, sealer)
    }

    fn open_locked(directory: LockedDirectory, sealer: Sealer) -> Result<Self> {
        let database = Database::open(&directory.path().join(FILE), &MIGRATIONS)?;
        database.void_leases()?;
        Ok(Self { database, sealer, _directory: Some(Arc::new(directory)) })
    }

    /// Opens the keys and workspaces of the store in a directory, or makes it, also while an engine
    /// works with it: SQLite lets two processes write in turn. Blocks.
    pub fn open_keys(directory: &Path) -> Result<impl KeyStore + use<>> {
        fs::create_dir_all(directory).map_err(Error::io("make", directory))?;
        let sealer = Sealer::from_file(&directory.join(KEY_FILE))?;
        let database = Database::open(&directory.join(FILE), &MIGRATIONS)?;
        Ok(Self { database, sealer, _directory: None })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::{
        idempotency_conformance, jobs_conformance, keys_conformance, outbox_conformance,
        uploads_conformance,
    };

    #[test]
    fn the_migrations_are_valid() {
        MIGRATIONS.validate().unwrap();
    }

    fn open(directory: &tempfile::TempDir) -> Result<SqliteStore> {
        SqliteStore::open(directory.path())
    }

    #[tokio::test]
    async fn it_conforms() {
        let directories: Vec<_> = (0..5).map(|_| tempfile::tempdir().unwrap()).collect();
        jobs_conformance(&open(&directories[0]).unwrap()).await;
        uploads_conformance(&open(&directories[1]).unwrap()).await;
        outbox_conformance(&open(&directories[2]).unwrap()).await;
        keys_conformance(&open(&directories[3]).unwrap()).await;
        idempotency_conformance(&open(&directories[4]).unwrap()).await;
    }

    /// What no message may lack: the file, and what to do.
    fn expect_damaged(error: &Error) {
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains("harvestman.db") && message.contains("backup"), "{message}");
    }

    #[test]
    fn a_second_engine_on_a_directory_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let first = open(&directory).unwrap();
        let error = open(&directory).unwrap_err();
        assert!(matches!(error, Error::Locked { .. }), "{error}");
        let path = directory.path().display().to_string();
        assert!(error.to_string().contains(&path), "{error}");
        drop(first);
        open(&directory).unwrap();
    }

    #[tokio::test]
    async fn keys_are_kept_beside_an_engine_and_leave_its_leases_alone() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory).unwrap();
        jobs_conformance(&store).await;
        let connection =
            || rusqlite::Connection::open(directory.path().join("harvestman.db")).unwrap();
        let lease = "UPDATE jobs SET lease_owner = 'me', lease_until = '2999-01-01T00:00:00Z'";
        connection().execute(lease, []).unwrap();
        let leases = || {
            let sql = "SELECT count(*) FROM jobs WHERE lease_owner IS NOT NULL";
            connection().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()
        };
        let held = leases();
        assert!(held > 0);
        let beside = SqliteStore::open_keys(directory.path()).unwrap();
        let now = jiff::Timestamp::UNIX_EPOCH;
        let new = crate::store::WorkspaceEntry::new("acme", now);
        beside.add_workspace(&new).await.unwrap();
        assert_eq!(leases(), held);
        assert_eq!(store.workspace("acme").await.unwrap(), Some(new));
    }

    #[test]
    fn a_file_that_is_no_store_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("harvestman.db");
        fs::write(&path, "years of work".repeat(1_000)).unwrap();
        expect_damaged(&open(&directory).unwrap_err());
        assert!(fs::read_to_string(&path).unwrap().starts_with("years of work"));
    }

    #[tokio::test]
    async fn a_torn_file_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        jobs_conformance(&open(&directory).unwrap()).await;
        let path = directory.path().join("harvestman.db");
        let whole = fs::read(&path).unwrap();
        assert!(whole.len() > 16 * 4_096, "{} bytes", whole.len());
        // Cut short, and with a page overwritten in the middle.
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        expect_damaged(&open(&directory).unwrap_err());
        let mut torn = whole.clone();
        torn[5 * 4_096..7 * 4_096].fill(0xAB);
        fs::write(&path, &torn).unwrap();
        expect_damaged(&open(&directory).unwrap_err());
        fs::write(&path, &whole).unwrap();
        open(&directory).unwrap();
    }

    #[test]
    fn a_file_of_a_newer_version_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        drop(open(&directory).unwrap());
        let path = directory.path().join("harvestman.db");
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        drop(connection);
        let message = open(&directory).unwrap_err().to_string();
        assert!(message.contains("newer version"), "{message}");
    }
}
