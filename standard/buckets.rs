//! Jobs whose list is in a bucket, or whose result goes to one.

use std::sync::Arc;

use futures::TryStreamExt;
use harvestman_engine::{
    Error, JobSpec, LineReader, Refusal, RefusalCode, Result, Sink, Source, engine::JobContext,
    id::JobId, spec::Input,
};
use harvestman_sinks::FileSink;
use harvestman_sources::InputOptions;
use harvestman_storage::{Access, Location, Provider, Role, Scope, Storage};

use crate::buckets;

/// What may be opened, and as whom.
///
/// A place that a job names is opened in the role that it names. Without one it is read as nobody,
/// unless the operator has said that it is one of his own.
#[derive(Clone, Debug, Default)]
pub(super) struct Buckets {
    pub(super) storage: Storage,
    /// The places that jobs may use as the operator.
    pub(super) own: Vec<Location>,
    /// Where results go that go nowhere else.
    pub(super) results: Option<Location>,
}

impl Buckets {
    /// Refuses what this installation can't open, before the job is made.
    pub(super) fn check(&self, spec: &JobSpec) -> Result<(), Refusal> {
        if let Input::Object { uri, role_arn, region, .. } = &spec.input {
            let location = self.locate("input", uri, region.as_deref())?;
            check_role("input.role_arn", &location, role_arn.as_deref())?;
        }
        let Some(uri) = &spec.output.s3_uri else { return Ok(()) };
        let location = self.locate("output.s3_uri", uri, None)?;
        let role = spec.output.role_arn.as_deref();
        check_role("output.role_arn", &location, role)?;
        if role.is_none() && !self.is_own(&location) {
            let message = "is needed: a role of yours that may write to the bucket";
            return Err(Refusal::at(RefusalCode::SchemaInvalid, "output.role_arn", message));
        }
        Ok(())
    }

    fn locate(&self, path: &str, uri: &str, region: Option<&str>) -> Result<Location, Refusal> {
        let location = place(uri, region)
            .map_err(|message| Refusal::at(RefusalCode::SchemaInvalid, path, message))?;
        if self.storage.knows(location.provider()) {
            return Ok(location);
        }
        let message = "this installation opens no such buckets; upload the list, or have the \
                       storage set up";
        Err(Refusal::at(RefusalCode::Unavailable, path, message))
    }

    fn is_own(&self, location: &Location) -> bool {
        self.own.iter().any(|own| own.contains(location))
    }

    /// The list of a job whose input is an object.
    pub(super) async fn source(
        &self,
        job: &JobContext,
        reader: LineReader,
        options: InputOptions,
    ) -> Result<Arc<dyn Source>> {
        let Input::Object { uri, role_arn, external_id, region, .. } = &job.spec.input else {
            return Err(Error::invalid("input", "can't be read by this installation"));
        };
        let location =
            place(uri, region.as_deref()).map_err(|message| Error::invalid("input", message))?;
        refuse_foreign_id(job, external_id.as_deref())?;
        let access = match role_arn {
            Some(arn) => Access::Role(role(job, arn, Scope::Read)?),
            None if self.is_own(&location) => Access::Own,
            None => Access::Anonymous,
        };
        let bucket = self.storage.open(&location, &access)?;
        Ok(Arc::new(buckets::source(&bucket, reader, &options).await?))
    }

    /// Sends the parts of a job on to a bucket, if they are meant for one.
    pub(super) fn sink(&self, job: &JobContext, parts: FileSink) -> Result<Arc<dyn Sink>> {
        let output = &job.spec.output;
        let (directory, access) = match (&output.s3_uri, &self.results) {
            (Some(uri), _) => {
                let location =
                    place(uri, None).map_err(|message| Error::invalid("output.s3_uri", message))?;
                let access = match &output.role_arn {
                    Some(arn) => Access::Role(role(job, arn, Scope::Write)?),
                    None => Access::Own,
                };
                (location, access)
            }
            (None, Some(results)) => (results.clone(), Access::Own),
            (None, None) => return Ok(Arc::new(parts)),
        };
        let location = directory.join(job.id.as_str());
        let bucket = self.storage.open(&location, &access)?;
        Ok(Arc::new(buckets::sink(&bucket, parts)))
    }

    /// Erases what a job has written to the operator's own storage; a user's bucket is his own.
    pub(super) async fn erase(&self, job: &JobId) -> Result<()> {
        let Some(results) = &self.results else { return Ok(()) };
        let bucket = self.storage.open(&results.join(job.as_str()), &Access::Own)?;
        let failed = |error| Error::part("store", error);
        bucket.abort_uploads().await.map_err(failed)?;
        let store = bucket.store();
        let objects = store.list(Some(bucket.path())).map_ok(|object| object.location);
        let erased = store.delete_stream(Box::pin(objects));
        erased.try_for_each(async |_| Ok(())).await.map_err(failed)
    }
}

fn place(uri: &str, region: Option<&str>) -> Result<Location, String> {
    let location = uri.parse::<Location>().map_err(|error| error.to_string())?;
    match region {
        Some(region) => location.in_region(region).map_err(|error| error.to_string()),
        None => Ok(location),
    }
}

fn check_role(path: &str, location: &Location, arn: Option<&str>) -> Result<(), Refusal> {
    let Some(arn) = arn else { return Ok(()) };
    let refuse = |message: String| Err(Refusal::at(RefusalCode::SchemaInvalid, path, message));
    if location.provider() != Provider::S3 {
        return refuse("goes with an s3_uri only".to_owned());
    }
    match Role::new(arn, "check", Scope::Read) {
        Ok(_) => Ok(()),
        Err(error) => refuse(error.to_string()),
    }
}

/// A role for one job, always with the external id of its workspace: so nobody has us take on the
/// role of somebody else.
fn role(job: &JobContext, arn: &str, scope: Scope) -> Result<Role> {
    let role = Role::new(arn, job.id.as_str(), scope)?;
    match &job.external_id {
        Some(id) => role.with_external_id(id),
        None => Ok(role),
    }
}

fn refuse_foreign_id(job: &JobContext, given: Option<&str>) -> Result<()> {
    let (Some(own), Some(given)) = (&job.external_id, given) else { return Ok(()) };
    if own == given {
        return Ok(());
    }
    Err(Error::Denied {
        code: "s3_access_denied",
        message: format!(
            "another external id than this workspace's is never shown to a role: have its trust \
             policy ask for {own}, and leave `external_id` out"
        ),
    })
}
