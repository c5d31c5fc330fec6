//! Events and deliveries in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, Row, Transaction, params, params_from_iter, types};

use super::{
    SqliteStore,
    row::{need_time, parse, read_time, read_word, time, word},
};
use crate::{
    Result,
    id::{DeliveryId, JobId},
    store::{Attempted, Delivery, DeliveryQuery, NewEvent, Outbox},
};

const SELECT: &str = "SELECT deliveries.number, deliveries.id, deliveries.workspace, events.job, \
                      events.id, events.kind, events.body, deliveries.host, deliveries.state, \
                      deliveries.attempts, deliveries.attempts_before, deliveries.next_at, \
                      deliveries.http_status, deliveries.error, deliveries.created_at, \
                      deliveries.attempted_at \
                      FROM deliveries JOIN events ON deliveries.event = events.id";

/// Adds the event of a job's end, and its delivery if there is an endpoint. A job has one event:
/// a second one is an error.
pub(super) fn put_event(
    transaction: &Transaction<'_>,
    job: &JobId,
    event: &NewEvent,
) -> rusqlite::Result<()> {
    let created_at = time(event.created_at);
    let sql = "INSERT INTO events (id, job, workspace, kind, body, created_at)
               SELECT ?1, id, workspace, ?3, ?4, ?5 FROM jobs WHERE id = ?2";
    let values = params![event.id.as_str(), job.as_str(), event.kind, event.body, created_at];
    transaction.prepare_cached(sql)?.execute(values)?;
    let Some(delivery) = &event.delivery else { return Ok(()) };
    let sql = "INSERT INTO deliveries (id, event, workspace, host, state, next_at, created_at)
               SELECT ?1, id, workspace, ?3, 'pending', ?4, ?4 FROM events WHERE id = ?2";
    let values = params![delivery.id.as_str(), event.id.as_str(), delivery.host, created_at];
    transaction.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        number: row.get::<_, i64>(0)? as u64,
        id: parse(&row.get::<_, String>(1)?)?,
        workspace: row.get(2)?,
        job: parse(&row.get::<_, String>(3)?)?,
        event: parse(&row.get::<_, String>(4)?)?,
        kind: row.get(5)?,
        body: row.get(6)?,
        host: row.get(7)?,
        state: read_word(row.get(8)?)?,
        attempts: row.get(9)?,
        attempts_before: row.get(10)?,
        next_at: read_time(row.get(11)?)?,
        http_status: row.get(12)?,
        error: row.get(13)?,
        created_at: need_time(&row.get::<_, String>(14)?)?,
        attempted_at: read_time(row.get(15)?)?,
    })
}

fn collect(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> rusqlite::Result<Vec<Delivery>> {
    connection.prepare_cached(sql)?.query_map(values, read)?.collect()
}

/// The query's SQL and its values in their order.
fn select(query: &DeliveryQuery) -> Result<(String, Vec<types::Value>)> {
    let mut sql = format!("{SELECT} WHERE true");
    let mut values: Vec<types::Value> = Vec::new();
    let state = query.state.as_ref().map(word).transpose()?;
    let conditions = [
        ("deliveries.workspace = ?", query.workspace.clone().map(types::Value::from)),
        ("events.job = ?", query.job.as_ref().map(|job| job.as_str().to_owned().into())),
        ("deliveries.state = ?", state.map(types::Value::from)),
        ("deliveries.number < ?", query.before.map(|number| (number as i64).into())),
    ];
    for (condition, value) in conditions {
        if let Some(value) = value {
            sql += " AND ";
            sql += condition;
            values.push(value);
        }
    }
    sql += " ORDER BY deliveries.number DESC LIMIT ?";
    values.push((query.limit as i64).into());
    Ok((sql, values))
}

#[async_trait]
impl Outbox for SqliteStore {
    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<Delivery>> {
        let now = time(now);
        let sql = format!(
            "{SELECT} WHERE deliveries.state = 'pending' AND next_at <= ?1
             ORDER BY next_at, deliveries.number LIMIT ?2"
        );
        let read = move |connection: &Connection| {
            Ok(collect(connection, &sql, params![now, most as i64])?)
        };
        self.database.read(read).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>> {
        let sql = "SELECT min(next_at) FROM deliveries WHERE state = 'pending'";
        let read = move |connection: &Connection| {
            Ok(read_time(connection.query_row(sql, [], |row| row.get(0))?)?)
        };
        self.database.read(read).await
    }

    async fn attempted(&self, id: &DeliveryId, attempted: &Attempted) -> Result<()> {
        let (id, attempted) = (id.clone(), attempted.clone());
        let state = word(&attempted.state)?;
        let write = move |transaction: &Transaction<'_>| {
            let sql = "UPDATE deliveries SET attempts = attempts + 1, attempted_at = ?2,
                           state = ?3, next_at = ?4, http_status = ?5, error = ?6
                       WHERE id = ?1";
            transaction.prepare_cached(sql)?.execute(params![
                id.as_str(),
                time(attempted.at),
                state,
                attempted.next_at.map(time),
                attempted.http_status,
                attempted.error,
            ])?;
            Ok(())
        };
        self.database.write(write).await
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>> {
        let (sql, values) = select(query)?;
        let read =
            move |connection: &Connection| Ok(collect(connection, &sql, params_from_iter(values))?);
        self.database.read(read).await
    }

    async fn replay(&self, workspace: &str, id: &DeliveryId, now: Timestamp) -> Result<bool> {
        let (workspace, id, now) = (workspace.to_owned(), id.clone(), time(now));
        let write = move |transaction: &Transaction<'_>| {
            let sql = "UPDATE deliveries SET state = 'pending', next_at = ?3,
                           attempts_before = attempts
                       WHERE id = ?1 AND workspace = ?2";
            let changed =
                transaction.prepare_cached(sql)?.execute(params![id.as_str(), workspace, now])?;
            Ok(changed == 1)
        };
        self.database.write(write).await
    }

    async fn forget_deliveries(&self, before: Timestamp, most: usize) -> Result<u64> {
        let before = time(before);
        let write = move |transaction: &Transaction<'_>| {
            // Deleting an event takes its settled deliveries along.
            let sql = "DELETE FROM events WHERE id IN (
                           SELECT id FROM events AS old
                           WHERE created_at < ?1 AND NOT EXISTS (
                               SELECT 1 FROM deliveries WHERE event = old.id
                               AND (state = 'pending' OR attempted_at >= ?1))
                           LIMIT ?2)";
            Ok(transaction.prepare_cached(sql)?.execute(params![before, most as i64])? as u64)
        };
        self.database.write(write).await
    }

    async fn count_events(&self, job: &JobId) -> Result<u64> {
        let job = job.clone();
        let read = move |connection: &Connection| {
            let sql = "SELECT count(*) FROM events WHERE job = ?1";
            let count: i64 = connection.query_row(sql, [job.as_str()], |row| row.get(0))?;
            Ok(count as u64)
        };
        self.database.read(read).await
    }
}
