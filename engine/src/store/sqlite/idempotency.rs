//! Answers to be given again, in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use super::{SqliteStore, row::time};
use crate::{
    Result,
    store::{Begun, IdempotencyKey, IdempotencyStore, StoredAnswer},
};

/// Keeps the answer to a request that was begun.
pub(super) fn put_answer(
    transaction: &Transaction<'_>,
    answer: &StoredAnswer,
) -> rusqlite::Result<()> {
    let sql = "UPDATE idempotency SET status = ?3, body = ?4, location = ?5
               WHERE workspace = ?1 AND key = ?2";
    let StoredAnswer { workspace, key, status, body, location } = answer;
    transaction.prepare_cached(sql)?.execute(params![workspace, key, status, body, location])?;
    Ok(())
}

/// A request that was begun before.
struct Earlier {
    fingerprint: String,
    owner: String,
    answer: Option<(u16, String, Option<String>)>,
}

fn find(transaction: &Transaction<'_>, key: &IdempotencyKey) -> rusqlite::Result<Option<Earlier>> {
    let sql = "SELECT fingerprint, owner, status, body, location FROM idempotency
               WHERE workspace = ?1 AND key = ?2";
    let read = |row: &rusqlite::Row<'_>| {
        let (status, body): (Option<u16>, Option<String>) = (row.get(2)?, row.get(3)?);
        let location: Option<String> = row.get(4)?;
        let answer = status.zip(body).map(|(status, body)| (status, body, location));
        Ok(Earlier { fingerprint: row.get(0)?, owner: row.get(1)?, answer })
    };
    transaction.query_row(sql, params![key.workspace, key.key], read).optional()
}

#[async_trait]
impl IdempotencyStore for SqliteStore {
    async fn begin(&self, key: &IdempotencyKey, owner: &str, now: Timestamp) -> Result<Begun> {
        let (key, owner, now) = (key.clone(), owner.to_owned(), time(now));
        let write = move |transaction: &Transaction<'_>| {
            if let Some(earlier) = find(transaction, &key)? {
                if earlier.fingerprint != key.fingerprint {
                    return Ok(Begun::Conflict);
                }
                if let Some((status, body, location)) = earlier.answer {
                    let IdempotencyKey { workspace, key, .. } = key;
                    let answer = StoredAnswer { workspace, key, status, body, location };
                    return Ok(Begun::Answered(answer));
                }
                if earlier.owner == owner {
                    return Ok(Begun::InProgress);
                }
            }
            let sql = "INSERT OR REPLACE INTO idempotency
                           (workspace, key, fingerprint, owner, begun_at)
                       VALUES (?1, ?2, ?3, ?4, ?5)";
            let values = params![key.workspace, key.key, key.fingerprint, owner, now];
            transaction.execute(sql, values)?;
            Ok(Begun::New)
        };
        self.database.write(write).await
    }

    async fn answer(&self, answer: &StoredAnswer) -> Result<()> {
        let answer = answer.clone();
        let write = move |transaction: &Transaction<'_>| Ok(put_answer(transaction, &answer)?);
        self.database.write(write).await
    }

    async fn abandon(&self, workspace: &str, key: &str) -> Result<()> {
        let (workspace, key) = (workspace.to_owned(), key.to_owned());
        let write = move |transaction: &Transaction<'_>| {
            let sql = "DELETE FROM idempotency
                       WHERE workspace = ?1 AND key = ?2 AND status IS NULL";
            transaction.execute(sql, params![workspace, key])?;
            Ok(())
        };
        self.database.write(write).await
    }

    async fn forget_answers(&self, before: Timestamp, most: usize) -> Result<u64> {
        let before = time(before);
        let write = move |transaction: &Transaction<'_>| {
            let sql = "DELETE FROM idempotency WHERE (workspace, key) IN (
                           SELECT workspace, key FROM idempotency WHERE begun_at < ?1 LIMIT ?2)";
            Ok(transaction.execute(sql, params![before, most as i64])? as u64)
        };
        self.database.write(write).await
    }
}
