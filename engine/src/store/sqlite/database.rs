//! The connections to one SQLite file, and its errors in our words.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use metrics::histogram;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use rusqlite_migration::Migrations;
use tokio::sync::Semaphore;

use crate::{Error, Result};

/// How many reads are under way at a time.
const READERS: usize = 4;
/// How much of the file a connection keeps in memory, in KiB.
const CACHE_KIB: i64 = 16 * 1024;
/// How many statements a connection keeps prepared.
const STATEMENTS: usize = 64;

/// A failure inside of a transaction: SQLite's, or a reason of our own to roll back.
#[derive(Debug)]
pub(super) enum Failure {
    Sqlite(rusqlite::Error),
    Own(Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

/// One connection that writes and some that read, used from blocking threads.
#[derive(Clone)]
pub(super) struct Database {
    path: Arc<Path>,
    readers: Arc<Mutex<Vec<Connection>>>,
    reads: Arc<Semaphore>,
    /// Closed last, since only who may write can bring the log back into the file.
    writer: Arc<tokio::sync::Mutex<Connection>>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Database {
    pub(super) fn open(path: &Path, migrations: &Migrations<'_>) -> Result<Self> {
        let writer = open_writer(path, migrations).map_err(|failure| explain(failure, path))?;
        let readers: rusqlite::Result<Vec<_>> = (0..READERS).map(|_| open_reader(path)).collect();
        let readers = readers.map_err(|error| explain(error.into(), path))?;
        Ok(Self {
            path: path.into(),
            writer: Arc::new(tokio::sync::Mutex::new(writer)),
            readers: Arc::new(Mutex::new(readers)),
            reads: Arc::new(Semaphore::new(READERS)),
        })
    }

    /// Gives all leases back: whoever held them is gone, since the directory is locked. Blocks.
    pub(super) fn void_leases(&self) -> Result<()> {
        let sql = "UPDATE jobs SET lease_owner = NULL, lease_until = NULL
                   WHERE lease_owner IS NOT NULL";
        let writer = self.writer.try_lock().map_err(|error| Error::part("store", error))?;
        writer.execute(sql, []).map_err(|error| explain(error.into(), &self.path))?;
        Ok(())
    }

    /// Reads beside whatever is being written.
    pub(super) async fn read<T, F>(&self, query: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    {
        let permit = Arc::clone(&self.reads).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        let readers = Arc::clone(&self.readers);
        self.blocking("read", move || {
            let lock = || readers.lock().unwrap_or_else(PoisonError::into_inner);
            let connection = lock().pop().expect("a permit stands for a connection");
            let found = query(&connection);
            lock().push(connection);
            drop(permit);
            found
        })
        .await
    }

    /// Writes in one transaction, which an error rolls back.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        self.blocking("write", move || {
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        })
        .await
    }

    async fn blocking<T, F>(&self, operation: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Failure> + Send + 'static,
    {
        let path = Arc::clone(&self.path);
        let began = Instant::now();
        let done = tokio::task::spawn_blocking(work).await;
        histogram!("harvestman_store_seconds", "operation" => operation).record(began.elapsed());
        let done = done.map_err(|error| Error::part("store", error))?;
        done.map_err(|failure| explain(failure, &path))
    }
}

fn open_writer(path: &Path, migrations: &Migrations<'_>) -> Result<Connection, Failure> {
    let mut connection = Connection::open(path)?;
    set_up(&connection)?;
    // Fails on a file that is no database before anything is written to it.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    check_pages(&connection, path)?;
    match migrations.to_latest(&mut connection) {
        Ok(()) => {}
        Err(rusqlite_migration::Error::RusqliteError { err, .. }) => return Err(err.into()),
        Err(error) => {
            let message = format!(
                "was made by a newer version of Harvestman, or by another program ({error}); use the newer version, or restore a backup"
            );
            return Err(Error::damaged(path.display().to_string(), message).into());
        }
    }
    Ok(connection)
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    set_up(&connection)?;
    Ok(connection)
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// Looks through the pages: a torn file is found now and not in the middle of a job.
fn check_pages(connection: &Connection, path: &Path) -> Result<(), Failure> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" {
        return Ok(());
    }
    Err(damaged(path, &found.replace('\n', " ")).into())
}

fn damaged(path: &Path, found: &str) -> Error {
    let message = format!(
        "{found}; nothing was changed: restore a backup, or save what can be read with \
         `sqlite3 {} .recover`",
        path.display()
    );
    Error::damaged(path.display().to_string(), message)
}

fn explain(failure: Failure, path: &Path) -> Error {
    let error = match failure {
        Failure::Own(error) => return error,
        Failure::Sqlite(error) => error,
    };
    let io = |kind: io::ErrorKind| Error::Io {
        operation: "write to",
        path: PathBuf::from(path),
        source: kind.into(),
    };
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            damaged(path, &error.to_string())
        }
        Some(ErrorCode::DiskFull) => io(io::ErrorKind::StorageFull),
        Some(ErrorCode::ReadOnly) => io(io::ErrorKind::ReadOnlyFilesystem),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            io(io::ErrorKind::PermissionDenied)
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::Locked { path: path.into() }
        }
        _ => Error::part("store", error),
    }
}
