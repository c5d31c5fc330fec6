//! Keys that the operator declares in the settings instead of making them.

use std::{fmt, str::FromStr};

use harvestman::store::Scope;
use serde::{Deserialize, Serialize};

use super::key::{hash, is_hash};

/// The longest name of a workspace, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// The shortest key that is taken, in bytes: what is shorter can be guessed.
const MIN_KEY_BYTES: usize = 16;

/// Keys by hash: `acme=hd_live_…;beta=…` on the command line, a list of tables in the file.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct DeclaredKeys(pub(crate) Vec<DeclaredKey>);

/// A key that is declared: itself, or its hash.
#[derive(Clone, Deserialize, Serialize)]
#[serde(try_from = "Written", into = "Written")]
pub(crate) struct DeclaredKey {
    pub(crate) workspace: String,
    pub(crate) hash: String,
    pub(crate) scopes: Vec<Scope>,
}

/// A key as it stands in the file.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Written {
    workspace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(default = "all_scopes")]
    scopes: Vec<Scope>,
}

fn all_scopes() -> Vec<Scope> {
    vec![Scope::Read, Scope::Write]
}

impl TryFrom<Written> for DeclaredKey {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        check_workspace(&written.workspace)?;
        let hash = match (written.key, written.sha256) {
            (Some(key), None) => hash_checked(&key)?,
            (None, Some(hash)) if is_hash(&hash) => hash.to_ascii_lowercase(),
            (None, Some(_)) => return Err("sha256: write 64 hexadecimal digits".to_owned()),
            _ => return Err("give either `key` or `sha256`".to_owned()),
        };
        Ok(Self { workspace: written.workspace, hash, scopes: written.scopes })
    }
}

impl From<DeclaredKey> for Written {
    fn from(key: DeclaredKey) -> Self {
        Self { workspace: key.workspace, key: None, sha256: Some(key.hash), scopes: key.scopes }
    }
}

impl FromStr for DeclaredKeys {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pairs = text.split(';').map(str::trim).filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| {
                let (workspace, key) = pair.split_once('=').ok_or("write each as WORKSPACE=KEY")?;
                check_workspace(workspace)?;
                let hash = hash_checked(key)?;
                Ok(DeclaredKey { workspace: workspace.to_owned(), hash, scopes: all_scopes() })
            })
            .collect::<Result<_, String>>()
            .map(Self)
    }
}

fn hash_checked(key: &str) -> Result<String, String> {
    let is_plain = key.bytes().all(|byte| byte.is_ascii_graphic());
    if key.len() < MIN_KEY_BYTES || !is_plain {
        return Err(format!("a key has at least {MIN_KEY_BYTES} visible characters"));
    }
    Ok(hash(key))
}

/// Refuses names that could be mistaken in a log or a file.
pub(crate) fn check_workspace(name: &str) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(is_plain) {
        let message = "a workspace has 1 to 64 letters, digits, `-`, `_` and `.` as its name";
        return Err(message.to_owned());
    }
    Ok(())
}

impl fmt::Debug for DeclaredKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.workspace)).finish()
    }
}

impl fmt::Debug for DeclaredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeclaredKey").field("workspace", &self.workspace).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        api_keys: DeclaredKeys,
    }

    #[test]
    fn keys_are_read_from_text_and_from_tables() {
        let key = "hd_live_0123456789abcdef";
        let text: DeclaredKeys =
            format!("acme={key}; beta=hd_live_fedcba9876543210;").parse().unwrap();
        assert_eq!((text.0.len(), &*text.0[0].workspace), (2, "acme"));
        let table = format!(
            "[[api_keys]]\nworkspace = \"acme\"\nsha256 = \"{}\"\nscopes = [\"read\"]",
            hash(key)
        );
        let File { api_keys } = toml::from_str(&table).unwrap();
        assert_eq!(api_keys.0[0].hash, text.0[0].hash);
        assert_eq!(api_keys.0[0].scopes, [Scope::Read]);
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_repeated() {
        for text in
            ["acme", "acme=short-key", "a b=hd_live_0123456789abcdef", "=hd_live_0123456789abcdef"]
        {
            let error = text.parse::<DeclaredKeys>().unwrap_err();
            assert!(!error.contains("hd_live") && !error.contains("short-key"), "{error}");
        }
    }
}
