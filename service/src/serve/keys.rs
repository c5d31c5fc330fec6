//! `harvestman keys`: who may use the service. Works beside a running service, on its directory.

use std::{path::PathBuf, process::ExitCode};

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use harvestman::{
    id::KeyId,
    store::{ApiKey, KeyStore, Scope, WorkspaceEntry, sqlite::SqliteStore},
    webhook::Secret,
};
use jiff::Timestamp;
use serde_json::json;

use super::{
    declared::check_workspace,
    key::{DEFAULT_PREFIX, hash, random},
    links,
};
use crate::say::{error_line, output_line};

/// Make, list and revoke the keys of the service.
///
/// Works on the directory of the service, also while that runs; changes count at once.
#[derive(Args, Clone, Debug)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,

    /// The directory of the service
    #[arg(
        long,
        global = true,
        env = "HARVESTMAN_DATA",
        default_value = "./data",
        value_name = "DIR"
    )]
    data: PathBuf,

    /// Write JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Clone, Debug, Subcommand)]
enum KeysCommand {
    /// Make a key; it is shown once
    Create(CreateArgs),
    /// List the keys, without themselves
    List {
        /// Of this workspace only
        workspace: Option<String>,
    },
    /// Revoke a key for good
    Revoke {
        /// The key's id, as `list` shows it
        id: KeyId,
    },
    /// Show the secret that a workspace's webhooks are signed with
    WebhookSecret {
        /// The workspace
        #[arg(default_value = harvestman::engine::DEFAULT_WORKSPACE)]
        workspace: String,
    },
    /// Sign links to results with a new key from the next start of the service on; those made before
    /// stay valid until their end
    RotateLinks,
}

#[derive(Args, Clone, Debug)]
struct CreateArgs {
    /// Whose jobs the key opens; a new name makes a new workspace
    #[arg(value_parser = workspace)]
    workspace: String,

    /// A name to know the key by
    #[arg(long, default_value = "", value_name = "TEXT")]
    name: String,

    /// What may be done with it: look at jobs and results, or make and change them too
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', default_values = ["read", "write"])]
    scopes: Vec<ScopeArg>,

    /// What the key begins with
    #[arg(long, env = "HARVESTMAN_KEY_PREFIX", default_value = DEFAULT_PREFIX, value_name = "TEXT")]
    prefix: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ScopeArg {
    Read,
    Write,
}

impl From<ScopeArg> for Scope {
    fn from(scope: ScopeArg) -> Self {
        match scope {
            ScopeArg::Read => Self::Read,
            ScopeArg::Write => Self::Write,
        }
    }
}

fn workspace(name: &str) -> Result<String, String> {
    check_workspace(name).map(|()| name.to_owned())
}

/// Runs the command.
pub(crate) async fn main(args: &KeysArgs) -> ExitCode {
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error_line(format_args!("harvestman: {error:#}"));
            ExitCode::from(3)
        }
    }
}

async fn run(args: &KeysArgs) -> anyhow::Result<()> {
    super::make_private(&args.data)?;
    if let KeysCommand::RotateLinks = args.command {
        let id = links::rotate(&args.data, Timestamp::now())?;
        output_line(format_args!("links are signed with key {id} from the next start on"));
        return Ok(());
    }
    let store = SqliteStore::open_keys(&args.data)?;
    match &args.command {
        KeysCommand::Create(create) => make(&store, create, args.json).await,
        KeysCommand::List { workspace } => list(&store, workspace.as_deref(), args.json).await,
        KeysCommand::Revoke { id } => revoke(&store, id).await,
        KeysCommand::WebhookSecret { workspace } => {
            let secret = secret(&store, workspace).await?;
            output_line(secret.reveal());
            Ok(())
        }
        KeysCommand::RotateLinks => Ok(()),
    }
}

async fn make(store: &impl KeyStore, args: &CreateArgs, as_json: bool) -> anyhow::Result<()> {
    let secret = random(&args.prefix);
    let key = ApiKey {
        id: KeyId::random(),
        workspace: args.workspace.clone(),
        name: args.name.clone(),
        hash: hash(&secret),
        scopes: args.scopes.iter().copied().map(Into::into).collect(),
        created_at: Timestamp::now(),
        revoked_at: None,
    };
    store.put_key(&key).await?;
    store.add_workspace(&WorkspaceEntry::new(&*args.workspace, key.created_at)).await?;
    if as_json {
        let shown =
            json!({"id": key.id, "workspace": key.workspace, "scopes": key.scopes, "key": secret});
        output_line(shown);
    } else {
        error_line(format_args!(
            "key {} of workspace {}; it is shown only now:",
            key.id, key.workspace
        ));
        output_line(secret);
    }
    Ok(())
}

async fn list(store: &impl KeyStore, workspace: Option<&str>, as_json: bool) -> anyhow::Result<()> {
    for key in store.keys(workspace).await? {
        let ApiKey { id, workspace, name, scopes, created_at, revoked_at, .. } = key;
        if as_json {
            let shown = json!({"id": id, "workspace": workspace, "name": name, "scopes": scopes,
                               "created_at": created_at, "revoked_at": revoked_at});
            output_line(shown);
            continue;
        }
        let scopes: Vec<_> =
            scopes.iter().map(|scope| format!("{scope:?}").to_lowercase()).collect();
        let state = revoked_at.map_or_else(String::new, |at| format!("  revoked {at:.0}"));
        output_line(format_args!(
            "{id}  {workspace}  {}  {created_at:.0}  {name}{state}",
            scopes.join(",")
        ));
    }
    Ok(())
}

async fn revoke(store: &impl KeyStore, id: &KeyId) -> anyhow::Result<()> {
    if !store.revoke_key(id, Timestamp::now()).await? {
        bail!("there is no key {id}; `harvestman keys list` shows them");
    }
    output_line(format_args!("{id} is revoked"));
    Ok(())
}

async fn secret(store: &impl KeyStore, workspace: &str) -> anyhow::Result<Secret> {
    if let Some(known) = store.workspace(workspace).await? {
        return Ok(known.secret);
    }
    check_workspace(workspace).map_err(anyhow::Error::msg)?;
    let new = WorkspaceEntry::new(workspace, Timestamp::now());
    Ok(store.add_workspace(&new).await?.secret)
}
