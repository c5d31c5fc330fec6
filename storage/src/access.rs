//! As whom a bucket is opened.

use std::fmt;

use harvestman_engine::{Error, Result};

#[cfg(feature = "aws")]
use crate::Location;

/// As whom a bucket is opened.
#[derive(Clone, Debug)]
pub enum Access {
    /// As the operator: with the credentials of the settings or, without any, those of the machine.
    /// Never for a place that a user names.
    Own,
    /// As nobody: what everybody may read.
    Anonymous,
    /// In a role of the user's, which the operator's identity takes on. S3 only.
    Role(Role),
}

/// A role to take on, for one place only.
#[derive(Clone)]
#[cfg_attr(not(feature = "aws"), expect(dead_code, reason = "S3 only has roles"))]
pub struct Role {
    pub(crate) arn: String,
    pub(crate) external_id: Option<String>,
    pub(crate) session: String,
    pub(crate) scope: Scope,
}

/// What a role is taken on for. The session is limited to it by a policy of its own, whatever else
/// the role may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// To read one object.
    Read,
    /// To write objects under a prefix.
    Write,
}

impl Role {
    /// A role by its ARN, with the name that its owner finds in the logs of his account: 2 to 64
    /// letters, digits and `+=,.@_-`.
    pub fn new(arn: &str, session: &str, scope: Scope) -> Result<Self> {
        if !is_role(arn) {
            let message = "is no ARN of a role; write arn:aws:iam::123456789012:role/name";
            return Err(Error::invalid("role_arn", message));
        }
        let is_fit = |char: char| char.is_ascii_alphanumeric() || "+=,.@_-".contains(char);
        if !(2..=64).contains(&session.len()) || !session.chars().all(is_fit) {
            let message = "has 2 to 64 letters, digits and +=,.@_-";
            return Err(Error::invalid("the name of the session", message));
        }
        let (arn, session) = (arn.to_owned(), session.to_owned());
        Ok(Self { arn, session, external_id: None, scope })
    }

    /// Sets what the role's trust policy asks for, so that nobody but its owner can have us take it
    /// on: 2 to 1,224 letters, digits and `+=,.@:/_-`.
    pub fn with_external_id(mut self, id: &str) -> Result<Self> {
        let is_fit = |char: char| char.is_ascii_alphanumeric() || "+=,.@:/_-".contains(char);
        if !(2..=1_224).contains(&id.len()) || !id.chars().all(is_fit) {
            let message = "has 2 to 1,224 letters, digits and +=,.@:/_-";
            return Err(Error::invalid("external_id", message));
        }
        self.external_id = Some(id.to_owned());
        Ok(self)
    }

    /// What the session may do at most, as an IAM policy.
    #[cfg(feature = "aws")]
    pub(crate) fn policy(&self, location: &Location) -> String {
        let partition = self.arn.split(':').nth(1).unwrap_or("aws");
        let bucket = format!("arn:{partition}:s3:::{}", location.bucket());
        let object = format!("{bucket}/{}", literal(location.path().as_ref()));
        let allow = |actions: &[&str], resource: &str| serde_json::json!({"Effect": "Allow", "Action": actions, "Resource": resource});
        let statements = match self.scope {
            Scope::Read => vec![
                allow(&["s3:GetObject", "s3:GetObjectVersion"], &object),
                allow(&["kms:Decrypt"], "*"),
            ],
            Scope::Write => vec![
                allow(
                    &["s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
                    &format!("{object}/*"),
                ),
                allow(&["s3:ListBucketMultipartUploads"], &bucket),
                allow(&["kms:Decrypt", "kms:GenerateDataKey"], "*"),
            ],
        };
        serde_json::json!({"Version": "2012-10-17", "Statement": statements}).to_string()
    }
}

/// A key as a policy has to write it, in which `*`, `?` and `$` have a meaning.
#[cfg(feature = "aws")]
fn literal(key: &str) -> String {
    key.chars().fold(String::new(), |mut text, char| {
        match char {
            '*' | '?' | '$' => text.extend(["${", char.encode_utf8(&mut [0; 4]), "}"]),
            char => text.push(char),
        }
        text
    })
}

fn is_role(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [prefix, partition, service, region, account, resource] = parts[..] else { return false };
    let is_fit = |char: char| char.is_ascii_alphanumeric() || "+=,.@_/-".contains(char);
    prefix == "arn"
        && matches!(partition, "aws" | "aws-cn" | "aws-us-gov")
        && (service, region) == ("iam", "")
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && resource.len() <= 512 + 5
        && resource
            .strip_prefix("role/")
            .is_some_and(|name| !name.is_empty() && name.chars().all(is_fit))
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Role").field("arn", &self.arn).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:iam::123456789012:role/team/reader";

    #[test]
    fn only_roles_are_roles() {
        assert!(Role::new(ARN, "job_1", Scope::Read).is_ok());
        for arn in [
            "",
            "reader",
            "arn:aws:iam::123456789012:user/reader",
            "arn:aws:iam::12345678901:role/reader",
            "arn:aws:sts::123456789012:role/reader",
            "arn:evil:iam::123456789012:role/reader",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/a&Action=x",
        ] {
            assert!(Role::new(arn, "job_1", Scope::Read).is_err(), "{arn}");
        }
        for session in ["", "a", "a b", &"a".repeat(65)] {
            assert!(Role::new(ARN, session, Scope::Read).is_err(), "{session}");
        }
        let role = || Role::new(ARN, "job_1", Scope::Read).unwrap();
        assert!(role().with_external_id("hv-1").is_ok() && role().with_external_id("é").is_err());
    }

    #[cfg(feature = "aws")]
    #[test]
    fn a_session_is_limited_to_its_place() {
        let location = "s3://lists/a*b/c.csv".parse().unwrap();
        let read = Role::new(ARN, "job_1", Scope::Read).unwrap().policy(&location);
        assert!(read.contains(r#""arn:aws:s3:::lists/a${*}b/c.csv""#), "{read}");
        assert!(!read.contains("PutObject"), "{read}");
        let write = Role::new(ARN, "job_1", Scope::Write).unwrap().policy(&location);
        assert!(write.contains(r#""arn:aws:s3:::lists/a${*}b/c.csv/*""#), "{write}");
        assert!(write.contains("PutObject"), "{write}");
    }
}
