use super::at;
use crate::{
    id::KeyId,
    store::{ApiKey, Scope, Store, WorkspaceEntry},
    webhook::Secret,
};

fn key(workspace: &str, hash: &str) -> ApiKey {
    ApiKey {
        id: KeyId::random(),
        workspace: workspace.to_owned(),
        name: "ci".to_owned(),
        hash: hash.to_owned(),
        scopes: vec![Scope::Read, Scope::Write],
        created_at: at(0),
        revoked_at: None,
    }
}

/// Checks an empty store of keys.
pub async fn keys_conformance(store: &dyn Store) {
    let keys = [key("a", "h1"), key("b", "h2")];
    for key in &keys {
        store.put_key(key).await.unwrap();
    }
    assert_eq!(store.key_by_hash("h1").await.unwrap().as_ref(), Some(&keys[0]));
    assert_eq!(store.key_by_hash("h3").await.unwrap(), None);
    assert_eq!(store.keys(Some("b")).await.unwrap(), [keys[1].clone()]);
    assert_eq!(store.keys(None).await.unwrap(), keys);
    assert!(store.put_key(&key("c", "h1")).await.is_err(), "a hash is one key's");
    assert!(store.revoke_key(&keys[0].id, at(5)).await.unwrap());
    assert!(store.revoke_key(&keys[0].id, at(9)).await.unwrap());
    let revoked = store.key_by_hash("h1").await.unwrap().unwrap();
    assert_eq!(revoked.revoked_at, Some(at(5)), "since the first time");
    assert!(!store.revoke_key(&KeyId::random(), at(5)).await.unwrap());

    let new = WorkspaceEntry {
        name: "a".to_owned(),
        secret: Secret::random(),
        old_secret: None,
        external_id: "x".to_owned(),
        created_at: at(0),
    };
    assert_eq!(store.workspace("a").await.unwrap(), None);
    assert_eq!(store.add_workspace(&new).await.unwrap(), new);
    let other = WorkspaceEntry { secret: Secret::random(), ..new.clone() };
    assert_eq!(store.add_workspace(&other).await.unwrap(), new, "the first one stays");
    let rotated = WorkspaceEntry { old_secret: Some((new.secret.clone(), at(9))), ..other };
    store.set_workspace(&rotated).await.unwrap();
    assert_eq!(store.workspace("a").await.unwrap(), Some(rotated));
}
