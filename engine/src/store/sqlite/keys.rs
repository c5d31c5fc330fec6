//! Keys and workspaces in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::{
    SqliteStore,
    row::{json, need_time, parse, read_json, read_time, time},
};
use crate::{
    Error, Result,
    id::KeyId,
    store::{ApiKey, KeyStore, WorkspaceEntry},
    webhook::Secret,
};

const COLUMNS: &str = "id, workspace, name, hash, scopes, created_at, revoked_at";

fn read(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    Ok(ApiKey {
        id: parse(&row.get::<_, String>(0)?)?,
        workspace: row.get(1)?,
        name: row.get(2)?,
        hash: row.get(3)?,
        scopes: read_json(&row.get::<_, String>(4)?)?,
        created_at: need_time(&row.get::<_, String>(5)?)?,
        revoked_at: read_time(row.get(6)?)?,
    })
}

/// A workspace whose secrets are still sealed.
struct Sealed {
    name: String,
    secret: Vec<u8>,
    old_secret: Option<Vec<u8>>,
    old_secret_until: Option<Timestamp>,
    external_id: String,
    created_at: Timestamp,
}

fn find_workspace(connection: &Connection, name: &str) -> rusqlite::Result<Option<Sealed>> {
    let sql = "SELECT name, secret, old_secret, old_secret_until, external_id, created_at
               FROM workspaces WHERE name = ?1";
    let read = |row: &Row<'_>| {
        Ok(Sealed {
            name: row.get(0)?,
            secret: row.get(1)?,
            old_secret: row.get(2)?,
            old_secret_until: read_time(row.get(3)?)?,
            external_id: row.get(4)?,
            created_at: need_time(&row.get::<_, String>(5)?)?,
        })
    };
    connection.prepare_cached(sql)?.query_row([name], read).optional()
}

impl SqliteStore {
    fn seal(&self, workspace: &WorkspaceEntry) -> Sealed {
        let name = sealing_name(&workspace.name);
        let seal = |secret: &Secret| self.sealer.seal(&name, secret.reveal().as_bytes());
        Sealed {
            name: workspace.name.clone(),
            secret: seal(&workspace.secret),
            old_secret: workspace.old_secret.as_ref().map(|(secret, _)| seal(secret)),
            old_secret_until: workspace.old_secret.as_ref().map(|(_, until)| *until),
            external_id: workspace.external_id.clone(),
            created_at: workspace.created_at,
        }
    }

    fn unseal(&self, sealed: Sealed) -> Result<WorkspaceEntry> {
        let name = sealing_name(&sealed.name);
        let open = |secret: &[u8]| {
            let text = String::from_utf8(self.sealer.open(&name, secret)?).unwrap_or_default();
            Secret::parse(&text).map_err(|error| Error::damaged(&name, error))
        };
        let old_secret = sealed.old_secret.as_deref().map(open).transpose()?;
        Ok(WorkspaceEntry {
            secret: open(&sealed.secret)?,
            old_secret: old_secret.zip(sealed.old_secret_until),
            name: sealed.name,
            external_id: sealed.external_id,
            created_at: sealed.created_at,
        })
    }
}

fn sealing_name(workspace: &str) -> String {
    format!("workspace {workspace}")
}

fn put(transaction: &Transaction<'_>, verb: &str, sealed: &Sealed) -> rusqlite::Result<()> {
    let sql = format!(
        "{verb} INTO workspaces
             (name, secret, old_secret, old_secret_until, external_id, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
    );
    transaction.execute(
        &sql,
        params![
            sealed.name,
            sealed.secret,
            sealed.old_secret,
            sealed.old_secret_until.map(time),
            sealed.external_id,
            time(sealed.created_at),
        ],
    )?;
    Ok(())
}

#[async_trait]
impl KeyStore for SqliteStore {
    async fn put_key(&self, key: &ApiKey) -> Result<()> {
        let (key, scopes) = (key.clone(), json(&key.scopes)?);
        let write = move |transaction: &Transaction<'_>| {
            let sql = format!(
                "INSERT INTO keys ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (id) DO UPDATE SET workspace = excluded.workspace,
                     name = excluded.name, hash = excluded.hash, scopes = excluded.scopes,
                     revoked_at = excluded.revoked_at"
            );
            transaction.execute(
                &sql,
                params![
                    key.id.as_str(),
                    key.workspace,
                    key.name,
                    key.hash,
                    scopes,
                    time(key.created_at),
                    key.revoked_at.map(time),
                ],
            )?;
            Ok(())
        };
        self.database.write(write).await
    }

    async fn key_by_hash(&self, hash: &str) -> Result<Option<ApiKey>> {
        let hash = hash.to_owned();
        let find = move |connection: &Connection| {
            let sql = format!("SELECT {COLUMNS} FROM keys WHERE hash = ?1");
            Ok(connection.prepare_cached(&sql)?.query_row([hash], read).optional()?)
        };
        self.database.read(find).await
    }

    async fn keys(&self, workspace: Option<&str>) -> Result<Vec<ApiKey>> {
        let workspace = workspace.map(str::to_owned);
        let find = move |connection: &Connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM keys WHERE workspace = coalesce(?1, workspace)
                 ORDER BY number"
            );
            let keys: rusqlite::Result<Vec<_>> =
                connection.prepare_cached(&sql)?.query_map([workspace], read)?.collect();
            Ok(keys?)
        };
        self.database.read(find).await
    }

    async fn revoke_key(&self, id: &KeyId, now: Timestamp) -> Result<bool> {
        let (id, now) = (id.clone(), time(now));
        let write = move |transaction: &Transaction<'_>| {
            let sql = "UPDATE keys SET revoked_at = coalesce(revoked_at, ?2) WHERE id = ?1";
            Ok(transaction.execute(sql, params![id.as_str(), now])? == 1)
        };
        self.database.write(write).await
    }

    async fn workspace(&self, name: &str) -> Result<Option<WorkspaceEntry>> {
        let name = name.to_owned();
        let find = move |connection: &Connection| Ok(find_workspace(connection, &name)?);
        let found = self.database.read(find).await?;
        found.map(|sealed| self.unseal(sealed)).transpose()
    }

    async fn add_workspace(&self, workspace: &WorkspaceEntry) -> Result<WorkspaceEntry> {
        let (name, sealed) = (workspace.name.clone(), self.seal(workspace));
        let write = move |transaction: &Transaction<'_>| {
            put(transaction, "INSERT OR IGNORE", &sealed)?;
            Ok(find_workspace(transaction, &name)?)
        };
        let found = self.database.write(write).await?;
        found.map_or_else(|| Ok(workspace.clone()), |sealed| self.unseal(sealed))
    }

    async fn set_workspace(&self, workspace: &WorkspaceEntry) -> Result<()> {
        let sealed = self.seal(workspace);
        let write = move |transaction: &Transaction<'_>| {
            Ok(put(transaction, "INSERT OR REPLACE", &sealed)?)
        };
        self.database.write(write).await
    }
}
