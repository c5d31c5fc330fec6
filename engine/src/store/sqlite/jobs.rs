//! Jobs in SQLite.

use std::str::FromStr;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params, params_from_iter, types};
use serde_json::Value;

use super::{
    SqliteStore,
    database::Failure,
    idempotency::put_answer,
    outbox::put_event,
    row::{json, need_time, parse, read_json, read_time, read_word, time, word},
};
use crate::{
    Checkpoint, Error, Errored, JobSpec, Result, StopReason,
    id::{JobId, UploadId},
    seal::Sealer,
    spec::{Input, RetryFilter},
    store::secrets::{open_errored, open_lines, open_spec, seal_errored, seal_lines, seal_spec},
    store::{
        Claim, Commit, Ended, ErroredQuery, JobEntry, JobQuery, JobStore, Lease, NewEvent, NewJob,
        OutputState, Problem,
    },
};

const COLUMNS: &str = "number, id, workspace, status, reason, problem, spec, total, \
                       counters, parts, output, created_at, started_at, finished_at, expires_at";

/// A row whose secrets are still sealed.
struct Sealed {
    entry: JobEntry,
    spec: Value,
}

impl Sealed {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let reason: Option<String> = row.get(4)?;
        let problem: Option<String> = row.get(5)?;
        let entry = JobEntry {
            number: row.get::<_, i64>(0)? as u64,
            id: parse(&row.get::<_, String>(1)?)?,
            workspace: row.get(2)?,
            status: read_word(row.get(3)?)?,
            reason: reason.map(read_word::<StopReason>).transpose()?,
            problem: problem.map(|text| read_json::<Problem>(&text)).transpose()?,
            // Replaced when the secrets are opened.
            spec: JobSpec::new(Input::Urls(Vec::new())),
            total: row.get::<_, Option<i64>>(7)?.map(|total| total as u64),
            counters: read_json(&row.get::<_, String>(8)?)?,
            parts: read_json(&row.get::<_, String>(9)?)?,
            output: read_word(row.get(10)?)?,
            created_at: need_time(&row.get::<_, String>(11)?)?,
            started_at: read_time(row.get(12)?)?,
            finished_at: read_time(row.get(13)?)?,
            expires_at: read_time(row.get(14)?)?,
        };
        Ok(Self { entry, spec: read_json(&row.get::<_, String>(6)?)? })
    }

    fn open(self, sealer: &Sealer) -> Result<JobEntry> {
        let spec = open_spec(sealer, self.entry.id.as_str(), self.spec)?;
        Ok(JobEntry { spec, ..self.entry })
    }
}

impl SqliteStore {
    fn open_all(&self, rows: Vec<Sealed>) -> Result<Vec<JobEntry>> {
        rows.into_iter().map(|row| row.open(&self.sealer)).collect()
    }
}

fn find(connection: &Connection, id: &JobId) -> rusqlite::Result<Option<Sealed>> {
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1");
    connection.prepare_cached(&sql)?.query_row([id.as_str()], Sealed::read).optional()
}

/// The job's number, if the lease is still the job's newest.
fn fence(transaction: &Transaction<'_>, lease: &Lease) -> Result<i64, Failure> {
    let sql = "SELECT number FROM jobs WHERE id = ?1 AND lease_token = ?2 AND status = 'running'";
    let number = transaction
        .prepare_cached(sql)?
        .query_row(params![lease.job.as_str(), lease.token as i64], |row| row.get(0))
        .optional()?;
    number.ok_or_else(|| Error::LeaseLost { job: lease.job.to_string() }.into())
}

/// An upload that is being erased takes no further jobs.
fn need_upload(transaction: &Transaction<'_>, id: &UploadId) -> Result<(), Failure> {
    let sql = "SELECT 1 FROM uploads WHERE id = ?1 AND state = 'kept'";
    let found = transaction.query_row(sql, [id.as_str()], |_| Ok(())).optional()?;
    found.ok_or_else(|| Error::invalid(format!("upload {id}"), "is gone; upload it again").into())
}

fn number(connection: &Connection, id: &JobId) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT number FROM jobs WHERE id = ?1";
    connection.prepare_cached(sql)?.query_row([id.as_str()], |row| row.get(0)).optional()
}

/// A commit in a form that can go to another thread.
struct Written {
    checkpoint: String,
    counters: String,
    parts: String,
    total: Option<i64>,
    errored: Vec<ErroredRow>,
}

struct ErroredRow {
    position: i64,
    code: &'static str,
    retryable: bool,
    task: String,
}

impl Written {
    fn new(sealer: &Sealer, job: &JobId, commit: &Commit<'_>) -> Result<Self> {
        let errored: Result<Vec<_>> = commit
            .errored
            .iter()
            .map(|errored| {
                Ok(ErroredRow {
                    position: errored.index as i64,
                    code: errored.code.as_str(),
                    retryable: errored.retryable,
                    task: json(&seal_errored(sealer, job.as_str(), errored))?,
                })
            })
            .collect();
        Ok(Self {
            checkpoint: json(commit.checkpoint)?,
            counters: json(&commit.checkpoint.counters)?,
            parts: json(&commit.checkpoint.parts)?,
            total: commit.total.map(|total| total as i64),
            errored: errored?,
        })
    }

    fn put(&self, transaction: &Transaction<'_>, job: i64) -> rusqlite::Result<()> {
        let sql = "INSERT INTO checkpoints (job, checkpoint) VALUES (?1, ?2)
                   ON CONFLICT (job) DO UPDATE SET checkpoint = excluded.checkpoint";
        transaction.prepare_cached(sql)?.execute(params![job, self.checkpoint])?;
        let sql = "UPDATE jobs SET counters = ?2, parts = ?3, total = coalesce(?4, total)
                   WHERE number = ?1";
        let values = params![job, self.counters, self.parts, self.total];
        transaction.prepare_cached(sql)?.execute(values)?;
        let sql = "INSERT INTO errored (job, position, code, retryable, task)
                   VALUES (?1, ?2, ?3, ?4, ?5)";
        let mut insert = transaction.prepare_cached(sql)?;
        for row in &self.errored {
            insert.execute(params![job, row.position, row.code, row.retryable, row.task])?;
        }
        Ok(())
    }
}

/// The condition on `code` and `retryable` that a filter stands for.
fn filter(only: &RetryFilter) -> String {
    let codes: Vec<_> = only.codes.iter().map(|code| format!("'{code}'")).collect();
    let codes = (!codes.is_empty()).then(|| format!(" AND code IN ({})", codes.join(", ")));
    let retryable = only.retryable.map(|is| format!(" AND retryable = {}", i32::from(is)));
    [codes, retryable].into_iter().flatten().collect()
}

/// The query's SQL and its values in their order.
fn select(query: &JobQuery) -> (String, Vec<types::Value>) {
    let mut sql = format!("SELECT {COLUMNS} FROM jobs WHERE true");
    let mut values: Vec<types::Value> = Vec::new();
    let conditions = [
        ("workspace = ?", query.workspace.clone().map(types::Value::from)),
        ("status = ?", query.status.map(|status| status.as_str().to_owned().into())),
        ("name = ?", query.name.clone().map(types::Value::from)),
        ("created_at >= ?", query.created_after.map(|at| time(at).into())),
        ("created_at < ?", query.created_before.map(|at| time(at).into())),
        ("number < ?", query.before.map(|number| (number as i64).into())),
    ];
    for (condition, value) in conditions {
        if let Some(value) = value {
            sql += " AND ";
            sql += condition;
            values.push(value);
        }
    }
    sql += " ORDER BY number DESC LIMIT ?";
    values.push((query.limit as i64).into());
    (sql, values)
}

fn collect(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> rusqlite::Result<Vec<Sealed>> {
    connection.prepare_cached(sql)?.query_map(values, Sealed::read)?.collect()
}

#[async_trait]
impl JobStore for SqliteStore {
    async fn insert(&self, mut job: NewJob) -> Result<()> {
        let spec = json(&seal_spec(&self.sealer, job.id.as_str(), &job.spec)?)?;
        seal_lines(&self.sealer, job.id.as_str(), &mut job.urls);
        let urls = json(&job.urls)?;
        let entry = JobEntry::queued(&job, 0);
        let counters = json(&entry.counters)?;
        self.database
            .write(move |transaction| {
                if let Some(upload) = entry.upload() {
                    need_upload(transaction, upload)?;
                }
                let sql = "INSERT INTO jobs (id, workspace, name, status, spec, upload,
                                             retry_of, total, counters, created_at)
                           VALUES (?1, ?2, ?3, 'queued', ?4, ?5, ?6, ?7, ?8, ?9)";
                transaction.prepare_cached(sql)?.execute(params![
                    job.id.as_str(),
                    job.workspace,
                    job.spec.name,
                    spec,
                    entry.upload().map(UploadId::as_str),
                    entry.retry_of().map(JobId::as_str),
                    job.total.map(|total| total as i64),
                    counters,
                    time(job.created_at),
                ])?;
                if !job.urls.is_empty() {
                    let number = transaction.last_insert_rowid();
                    let sql = "INSERT INTO inline_urls (job, urls) VALUES (?1, ?2)";
                    transaction.prepare_cached(sql)?.execute(params![number, urls])?;
                }
                if let Some(answer) = &job.answer {
                    put_answer(transaction, answer)?;
                }
                Ok(())
            })
            .await
    }

    async fn job(&self, id: &JobId) -> Result<Option<JobEntry>> {
        let id = id.clone();
        let found = self.database.read(move |connection| Ok(find(connection, &id)?)).await?;
        found.map(|row| row.open(&self.sealer)).transpose()
    }

    async fn jobs(&self, query: &JobQuery) -> Result<Vec<JobEntry>> {
        let (sql, values) = select(query);
        let read =
            move |connection: &Connection| Ok(collect(connection, &sql, params_from_iter(values))?);
        self.open_all(self.database.read(read).await?)
    }

    async fn inline_urls(&self, id: &JobId) -> Result<Vec<Value>> {
        let job = id.clone();
        let read = move |connection: &Connection| {
            let sql = "SELECT urls FROM inline_urls JOIN jobs ON job = number WHERE id = ?1";
            let urls: Option<String> =
                connection.query_row(sql, [job.as_str()], |row| row.get(0)).optional()?;
            Ok(urls.map(|urls| read_json::<Vec<Value>>(&urls)).transpose()?.unwrap_or_default())
        };
        let mut urls = self.database.read(read).await?;
        open_lines(&self.sealer, id.as_str(), &mut urls)?;
        Ok(urls)
    }

    async fn open_jobs(&self) -> Result<u64> {
        let sql = "SELECT count(*) FROM jobs WHERE status IN ('queued', 'running')";
        let read = move |connection: &Connection| {
            Ok(connection.query_row(sql, [], |row| row.get::<_, i64>(0))?)
        };
        self.database.read(read).await.map(|count| count as u64)
    }

    async fn claim(&self, claim: &Claim<'_>) -> Result<Vec<(Lease, JobEntry)>> {
        let (owner, most) = (claim.owner.to_owned(), claim.most as i64);
        let (now, until, held) = (time(claim.now), time(claim.until), json(claim.held)?);
        let claimed = self
            .database
            .write(move |transaction| {
                let sql = "SELECT id FROM jobs WHERE status IN ('queued', 'running')
                           AND (lease_until IS NULL OR lease_until < ?1)
                           AND id NOT IN (SELECT value FROM json_each(?3))
                           ORDER BY status = 'queued', number LIMIT ?2";
                let ids: rusqlite::Result<Vec<String>> = transaction
                    .prepare_cached(sql)?
                    .query_map(params![now, most, held], |row| row.get(0))?
                    .collect();
                let sql = "UPDATE jobs SET status = 'running', lease_owner = ?2, lease_until = ?3,
                               lease_token = lease_token + 1,
                               started_at = coalesce(started_at, ?4)
                           WHERE id = ?1 RETURNING lease_token";
                let mut claimed = Vec::new();
                for id in ids? {
                    let token: i64 = transaction
                        .prepare_cached(sql)?
                        .query_row(params![id, owner, until, now], |row| row.get(0))?;
                    let id = JobId::from_str(&id).map_err(super::row::unreadable)?;
                    claimed.extend(find(transaction, &id)?.map(|row| (token, row)));
                }
                Ok(claimed)
            })
            .await?;
        let open = |(token, row): (i64, Sealed)| {
            let entry = row.open(&self.sealer)?;
            Ok((Lease { job: entry.id.clone(), token: token as u64 }, entry))
        };
        claimed.into_iter().map(open).collect()
    }

    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<()> {
        let (lease, until) = (lease.clone(), time(until));
        let write = move |transaction: &Transaction<'_>| {
            let job = fence(transaction, &lease)?;
            let sql = "UPDATE jobs SET lease_until = ?2 WHERE number = ?1";
            transaction.prepare_cached(sql)?.execute(params![job, until])?;
            Ok(())
        };
        self.database.write(write).await
    }

    async fn release(&self, lease: &Lease) -> Result<()> {
        let lease = lease.clone();
        let write = move |transaction: &Transaction<'_>| {
            let job = fence(transaction, &lease)?;
            let sql = "UPDATE jobs SET lease_owner = NULL, lease_until = NULL WHERE number = ?1";
            transaction.prepare_cached(sql)?.execute([job])?;
            Ok(())
        };
        self.database.write(write).await
    }

    async fn cancel(
        &self,
        id: &JobId,
        now: Timestamp,
        event: Option<NewEvent>,
    ) -> Result<Option<JobEntry>> {
        let (id, now) = (id.clone(), time(now));
        let reason = word(&StopReason::User)?;
        let found = self
            .database
            .write(move |transaction| {
                let sql = "UPDATE jobs SET status = 'cancelled', reason = ?2, finished_at = ?3,
                               expires_at = ?3
                           WHERE id = ?1 AND status = 'queued'";
                let ended =
                    transaction.prepare_cached(sql)?.execute(params![id.as_str(), reason, now])?;
                if let (1, Some(event)) = (ended, &event) {
                    put_event(transaction, &id, event)?;
                }
                let sql = "UPDATE jobs SET reason = coalesce(reason, ?2)
                           WHERE id = ?1 AND status = 'running'";
                transaction.prepare_cached(sql)?.execute(params![id.as_str(), reason])?;
                Ok(find(transaction, &id)?)
            })
            .await?;
        found.map(|row| row.open(&self.sealer)).transpose()
    }

    async fn checkpoint(&self, id: &JobId) -> Result<Option<Checkpoint>> {
        let id = id.clone();
        let read = move |connection: &Connection| {
            let sql = "SELECT checkpoint FROM checkpoints JOIN jobs ON job = number WHERE id = ?1";
            let json: Option<String> = connection
                .prepare_cached(sql)?
                .query_row([id.as_str()], |row| row.get(0))
                .optional()?;
            Ok(json.map(|json| read_json(&json)).transpose()?)
        };
        self.database.read(read).await
    }

    async fn commit(&self, lease: &Lease, commit: &Commit<'_>) -> Result<()> {
        let (lease, written) = (lease.clone(), Written::new(&self.sealer, &lease.job, commit)?);
        let write = move |transaction: &Transaction<'_>| {
            let job = fence(transaction, &lease)?;
            Ok(written.put(transaction, job)?)
        };
        self.database.write(write).await
    }

    async fn end(&self, lease: &Lease, ended: &Ended<'_>) -> Result<()> {
        let written = ended.commit.as_ref();
        let written =
            written.map(|commit| Written::new(&self.sealer, &lease.job, commit)).transpose()?;
        let reason = ended.reason.as_ref().map(word).transpose()?;
        let problem = ended.problem.as_ref().map(json).transpose()?;
        let (status, parts) = (ended.status.as_str(), json(ended.parts)?);
        let total = ended.total.map(|total| total as i64);
        let (finished_at, expires_at) = (time(ended.finished_at), ended.expires_at.map(time));
        let (lease, event) = (lease.clone(), ended.event.clone());
        let write = move |transaction: &Transaction<'_>| {
            let job = fence(transaction, &lease)?;
            if let Some(written) = &written {
                written.put(transaction, job)?;
            }
            let sql = "UPDATE jobs SET status = ?2, reason = ?3, problem = ?4, parts = ?5,
                           total = coalesce(?6, total), finished_at = ?7, expires_at = ?8,
                           lease_owner = NULL, lease_until = NULL
                       WHERE number = ?1";
            transaction.prepare_cached(sql)?.execute(params![
                job,
                status,
                reason,
                problem,
                parts,
                total,
                finished_at,
                expires_at
            ])?;
            if let Some(event) = &event {
                put_event(transaction, &lease.job, event)?;
            }
            Ok(())
        };
        self.database.write(write).await
    }

    async fn errored(&self, id: &JobId, query: &ErroredQuery) -> Result<Vec<Errored>> {
        let (job_id, query) = (id.clone(), query.clone());
        let read = move |connection: &Connection| {
            let Some(job) = number(connection, &job_id)? else { return Ok(Vec::new()) };
            let sql = format!(
                "SELECT task FROM errored WHERE job = ?1 AND position > ?2{} \
                 ORDER BY position LIMIT ?3 OFFSET ?4",
                filter(&query.only)
            );
            let after = query.after.map_or(-1, |after| after as i64);
            let rows: rusqlite::Result<Vec<Errored>> = connection
                .prepare_cached(&sql)?
                .query_map(params![job, after, query.limit as i64, query.skip as i64], |row| {
                    read_json(&row.get::<_, String>(0)?)
                })?
                .collect();
            Ok(rows?)
        };
        let mut errored = self.database.read(read).await?;
        for errored in &mut errored {
            open_errored(&self.sealer, id.as_str(), errored)?;
        }
        Ok(errored)
    }

    async fn count_errored(&self, id: &JobId, only: &RetryFilter) -> Result<u64> {
        let (id, only) = (id.clone(), only.clone());
        let read = move |connection: &Connection| {
            let Some(job) = number(connection, &id)? else { return Ok(0) };
            let sql = format!("SELECT count(*) FROM errored WHERE job = ?1{}", filter(&only));
            let count: i64 = connection.query_row(&sql, [job], |row| row.get(0))?;
            Ok(count as u64)
        };
        self.database.read(read).await
    }

    async fn outputs_to_erase(&self, now: Timestamp, most: usize) -> Result<Vec<JobEntry>> {
        let now = time(now);
        let read = move |connection: &Connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM jobs WHERE finished_at IS NOT NULL AND output != 'erased'
                 AND (expires_at < ?1 OR output = 'erasing') ORDER BY expires_at LIMIT ?2"
            );
            Ok(collect(connection, &sql, params![now, most as i64])?)
        };
        self.open_all(self.database.read(read).await?)
    }

    async fn set_output(&self, id: &JobId, state: OutputState) -> Result<()> {
        let (id, state) = (id.clone(), word(&state)?);
        let write = move |transaction: &Transaction<'_>| {
            let sql = "UPDATE jobs SET output = ?2 WHERE id = ?1 AND finished_at IS NOT NULL";
            transaction.prepare_cached(sql)?.execute(params![id.as_str(), state])?;
            Ok(())
        };
        self.database.write(write).await
    }

    async fn forget(&self, before: Timestamp, most: usize) -> Result<u64> {
        let before = time(before);
        let write = move |transaction: &Transaction<'_>| {
            let sql = "DELETE FROM jobs WHERE number IN (
                           SELECT number FROM jobs AS old
                           WHERE output = 'erased' AND finished_at < ?1 AND NOT EXISTS (
                               SELECT 1 FROM jobs AS retry WHERE retry.retry_of = old.id
                               AND retry.status IN ('queued', 'running'))
                           LIMIT ?2)";
            Ok(transaction.prepare_cached(sql)?.execute(params![before, most as i64])? as u64)
        };
        self.database.write(write).await
    }
}
