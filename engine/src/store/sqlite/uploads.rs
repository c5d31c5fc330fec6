//! Uploads in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::{
    SqliteStore,
    idempotency::put_answer,
    row::{json, need_time, parse, read_json, read_word, time, word},
};
use crate::{
    Result,
    id::UploadId,
    store::{StoredAnswer, UploadEntry, UploadStore},
};

const COLUMNS: &str =
    "id, workspace, format, bytes, total, invalid, errors, sha256, created_at, expires_at";
/// No job that has not ended reads the upload.
const IS_UNUSED: &str = "NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.upload = uploads.id \
                         AND jobs.status IN ('queued', 'running'))";

fn read(row: &Row<'_>) -> rusqlite::Result<UploadEntry> {
    Ok(UploadEntry {
        id: parse(&row.get::<_, String>(0)?)?,
        workspace: row.get(1)?,
        format: read_word(row.get(2)?)?,
        bytes: row.get::<_, i64>(3)? as u64,
        total: row.get::<_, i64>(4)? as u64,
        invalid: row.get::<_, i64>(5)? as u64,
        errors: read_json(&row.get::<_, String>(6)?)?,
        sha256: row.get(7)?,
        created_at: need_time(&row.get::<_, String>(8)?)?,
        expires_at: need_time(&row.get::<_, String>(9)?)?,
    })
}

#[async_trait]
impl UploadStore for SqliteStore {
    async fn insert_upload(
        &self,
        upload: &UploadEntry,
        answer: Option<StoredAnswer>,
    ) -> Result<()> {
        let upload = upload.clone();
        let (format, errors) = (word(&upload.format)?, json(&upload.errors)?);
        let write = move |transaction: &Transaction<'_>| {
            let sql = format!(
                "INSERT INTO uploads ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
            );
            transaction.prepare_cached(&sql)?.execute(params![
                upload.id.as_str(),
                upload.workspace,
                format,
                upload.bytes as i64,
                upload.total as i64,
                upload.invalid as i64,
                errors,
                upload.sha256,
                time(upload.created_at),
                time(upload.expires_at),
            ])?;
            answer.iter().try_for_each(|answer| put_answer(transaction, answer))?;
            Ok(())
        };
        self.database.write(write).await
    }

    async fn upload(&self, id: &UploadId) -> Result<Option<UploadEntry>> {
        let id = id.clone();
        let find = move |connection: &Connection| {
            let sql = format!("SELECT {COLUMNS} FROM uploads WHERE id = ?1 AND state = 'kept'");
            Ok(connection.prepare_cached(&sql)?.query_row([id.as_str()], read).optional()?)
        };
        self.database.read(find).await
    }

    async fn give_up_upload(&self, id: &UploadId) -> Result<bool> {
        let id = id.clone();
        let write = move |transaction: &Transaction<'_>| {
            let sql = format!("UPDATE uploads SET state = 'erasing' WHERE id = ?1 AND {IS_UNUSED}");
            Ok(transaction.prepare_cached(&sql)?.execute([id.as_str()])? == 1)
        };
        self.database.write(write).await
    }

    async fn uploads_to_erase(&self, now: Timestamp, most: usize) -> Result<Vec<UploadId>> {
        let now = time(now);
        let write = move |transaction: &Transaction<'_>| {
            let sql = format!(
                "UPDATE uploads SET state = 'erasing' WHERE expires_at < ?1 AND {IS_UNUSED}"
            );
            transaction.prepare_cached(&sql)?.execute([now])?;
            let sql = "SELECT id FROM uploads WHERE state = 'erasing' LIMIT ?1";
            let ids: rusqlite::Result<Vec<UploadId>> = transaction
                .prepare_cached(sql)?
                .query_map([most as i64], |row| parse(&row.get::<_, String>(0)?))?
                .collect();
            Ok(ids?)
        };
        self.database.write(write).await
    }

    async fn forget_upload(&self, id: &UploadId) -> Result<()> {
        let id = id.clone();
        let write = move |transaction: &Transaction<'_>| {
            let sql = "DELETE FROM uploads WHERE id = ?1 AND state = 'erasing'";
            transaction.prepare_cached(sql)?.execute([id.as_str()])?;
            Ok(())
        };
        self.database.write(write).await
    }
}
