//! AWS's Security Token Service: takes on a role.

use std::time::Duration;

use futures::TryStreamExt;
use http::{HeaderValue, Method, header::CONTENT_TYPE};
use jiff::Timestamp;
use object_store::{
    Error,
    aws::{AwsAuthorizer, AwsCredential, AwsCredentialProvider},
    client::{HttpClient, HttpRequest, HttpRequestBody},
};
use serde::Deserialize;
use tokio::time::sleep;
use url::{Url, form_urlencoded};

use crate::Role;

/// The most bytes of an answer.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// How long a session is asked for: the most that a role allows unless it says otherwise.
const SESSION_SECONDS: u32 = 3_600;
/// How often it is asked before a failure is one.
const MAX_TRIES: u32 = 7;
/// How long is waited before the second try; twice as long before each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(300);

/// Where roles are taken on, and as whom.
#[derive(Debug)]
pub(super) struct Sts {
    pub(super) client: HttpClient,
    pub(super) url: Url,
    pub(super) region: String,
    pub(super) identity: AwsCredentialProvider,
}

/// What a role is used with, for a while.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) credential: AwsCredential,
    pub(super) until: Timestamp,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{code}: {message}")]
    Denied { code: String, message: String },
    #[error("{0}")]
    Failed(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    assume_role_result: Outcome,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Outcome {
    credentials: Credentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: Timestamp,
}

/// A refusal, as AWS writes it or as others do, one level down.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Problem {
    error: Option<Cause>,
    errors: Option<Box<Self>>,
}

impl Problem {
    fn cause(self) -> Option<Cause> {
        self.error.or_else(|| self.errors?.error)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Cause {
    code: String,
    message: String,
}

impl Sts {
    /// Takes on a role. A denial says why, in the words of the service.
    pub(super) async fn assume(&self, role: &Role, policy: &str) -> Result<Session, Error> {
        let mut tries = 0;
        loop {
            let failure = match self.try_assume(role, policy).await? {
                Ok(session) => return Ok(session),
                Err(denied @ Refusal::Denied { .. }) => return Err(refused(role, &denied)),
                Err(failed) => failed,
            };
            tries += 1;
            if tries == MAX_TRIES {
                let source = format!("the role {} can't be taken on: {failure}", role.arn).into();
                return Err(Error::Generic { store: "STS", source });
            }
            sleep(FIRST_PAUSE * 2_u32.pow(tries - 1)).await;
        }
    }

    async fn try_assume(
        &self,
        role: &Role,
        policy: &str,
    ) -> Result<Result<Session, Refusal>, Error> {
        let identity = self.identity.get_credential().await?;
        let mut request = self.request(role, policy)?;
        AwsAuthorizer::new(&identity, "sts", &self.region).try_authorize(&mut request, None)?;
        let answer = match self.client.execute(request).await {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(Refusal::Failed(error.to_string()))),
        };
        let status = answer.status();
        let mut body = Vec::new();
        let mut chunks = answer.into_body().bytes_stream();
        loop {
            match chunks.try_next().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_ANSWER_BYTES => {
                    body.extend_from_slice(&chunk);
                }
                Ok(None) => break,
                Ok(Some(_)) => return Ok(Err(Refusal::Failed("its answer is too long".into()))),
                Err(error) => return Ok(Err(Refusal::Failed(error.to_string()))),
            }
        }
        Ok(read(status, &String::from_utf8_lossy(&body)))
    }

    fn request(&self, role: &Role, policy: &str) -> Result<HttpRequest, Error> {
        let seconds = SESSION_SECONDS.to_string();
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", "AssumeRole")
            .append_pair("Version", "2011-06-15")
            .append_pair("RoleArn", &role.arn)
            .append_pair("RoleSessionName", &role.session)
            .append_pair("DurationSeconds", &seconds)
            .append_pair("Policy", policy);
        if let Some(id) = &role.external_id {
            form.append_pair("ExternalId", id);
        }
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        http::Request::builder()
            .method(Method::POST)
            .uri(self.url.as_str())
            .header(CONTENT_TYPE, form_type)
            .body(HttpRequestBody::from(form.finish()))
            .map_err(|error| Error::Generic { store: "STS", source: error.into() })
    }
}

/// Reads an answer. What it says is never quoted where it might hold keys.
fn read(status: http::StatusCode, body: &str) -> Result<Session, Refusal> {
    if status.is_success() {
        let answer: Answer = quick_xml::de::from_str(body)
            .map_err(|_| Refusal::Failed("its answer can't be read".to_owned()))?;
        let found = answer.assume_role_result.credentials;
        let credential = AwsCredential {
            key_id: found.access_key_id,
            secret_key: found.secret_access_key,
            token: Some(found.session_token),
        };
        return Ok(Session { credential, until: found.expiration });
    }
    let problem: Problem = quick_xml::de::from_str(body).unwrap_or_default();
    let cause = problem.cause().unwrap_or_else(|| Cause {
        code: status.as_u16().to_string(),
        message: "its answer gives no reason".to_owned(),
    });
    let Cause { code, message } = cause;
    let is_passing = status.is_server_error()
        || status == http::StatusCode::TOO_MANY_REQUESTS
        || code.starts_with("Throttling")
        || code == "IDPCommunicationError";
    Err(if is_passing {
        Refusal::Failed(format!("{code}: {message}"))
    } else {
        Refusal::Denied { code, message }
    })
}

fn refused(role: &Role, refusal: &Refusal) -> Error {
    let source = format!("the role can't be taken on: {refusal}").into();
    Error::PermissionDenied { path: role.arn.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_sessions_denials_or_worth_another_try() {
        let session = "<AssumeRoleResponse xmlns=\"https://sts\"><AssumeRoleResult><Credentials>\
            <AccessKeyId>AK</AccessKeyId><SecretAccessKey>S</SecretAccessKey>\
            <SessionToken>T</SessionToken><Expiration>2026-11-25T12:00:00Z</Expiration>\
            </Credentials><AssumedRoleUser><Arn>a</Arn></AssumedRoleUser></AssumeRoleResult>\
            <ResponseMetadata/></AssumeRoleResponse>";
        let session = read(http::StatusCode::OK, session).unwrap();
        assert_eq!(session.credential.token.as_deref(), Some("T"));
        assert_eq!(session.until.to_string(), "2026-11-25T12:00:00Z");

        let denied = |code: &str| {
            format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
            )
        };
        for (status, body, is_denied) in [
            (403, denied("AccessDenied"), true),
            (400, denied("ValidationError"), true),
            (400, denied("Throttling"), false),
            (503, denied("ServiceUnavailable"), false),
            (
                403,
                format!(
                    "<ErrorResponse><Errors>{}</Errors></ErrorResponse>",
                    "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
                ),
                true,
            ),
            (403, "<html>".to_owned(), true),
            (502, "<html>".to_owned(), false),
            (200, "<secret>".to_owned(), false),
        ] {
            let refusal = read(status.try_into().unwrap(), &body).unwrap_err();
            assert_eq!(matches!(refusal, Refusal::Denied { .. }), is_denied, "{status} {body}");
            assert!(!refusal.to_string().contains("secret"));
        }
    }
}
