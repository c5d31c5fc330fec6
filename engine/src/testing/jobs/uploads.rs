use super::{at, new_job};
use crate::{
    Code,
    id::UploadId,
    spec::{Input, InputFormat},
    store::{Status, Store, UploadEntry, UploadError},
};

fn upload(workspace: &str) -> UploadEntry {
    UploadEntry {
        id: UploadId::random(),
        workspace: workspace.to_owned(),
        format: InputFormat::Csv,
        bytes: 1_234,
        total: 10,
        invalid: 1,
        errors: vec![UploadError {
            line: 4,
            code: Code::InvalidUrl,
            message: "line 4: no".to_owned(),
        }],
        sha256: "ab".repeat(32),
        created_at: at(0),
        expires_at: at(100),
    }
}

/// Checks an empty store of uploads.
pub async fn uploads_conformance(store: &dyn Store) {
    let (used, unused) = (upload("a"), upload("b"));
    for upload in [&used, &unused] {
        store.insert_upload(upload, None).await.unwrap();
        assert_eq!(store.upload(&upload.id).await.unwrap().as_ref(), Some(upload));
    }
    assert_eq!(store.upload(&UploadId::random()).await.unwrap(), None);
    assert!(store.insert_upload(&used, None).await.is_err(), "an id is given out once");

    let mut job = new_job("a", at(0));
    job.spec.input = Input::Upload(used.id.clone());
    let id = job.id.clone();
    store.insert(job).await.unwrap();
    assert!(!store.give_up_upload(&used.id).await.unwrap(), "a job needs it");
    assert_eq!(store.uploads_to_erase(at(50), 9).await.unwrap(), []);
    let expired = store.uploads_to_erase(at(101), 9).await.unwrap();
    assert_eq!(expired, std::slice::from_ref(&unused.id), "expired, and no job needs it");
    assert_eq!(store.upload(&unused.id).await.unwrap(), None, "it is being erased");
    let begun = store.uploads_to_erase(at(0), 9).await.unwrap();
    assert_eq!(begun, std::slice::from_ref(&unused.id), "what was begun is gone on with");
    let mut late = new_job("b", at(0));
    late.spec.input = Input::Upload(unused.id.clone());
    assert!(store.insert(late).await.is_err(), "a job can't have what is being erased");
    store.forget_upload(&unused.id).await.unwrap();
    assert_eq!(store.uploads_to_erase(at(0), 9).await.unwrap(), []);

    store.cancel(&id, at(1), None).await.unwrap();
    assert_eq!(store.job(&id).await.unwrap().unwrap().status, Status::Cancelled);
    assert!(store.give_up_upload(&used.id).await.unwrap(), "nobody needs it any more");
    assert!(!store.give_up_upload(&UploadId::random()).await.unwrap());
}
