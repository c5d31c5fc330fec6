//! Takes the secrets out of a spec before it is kept, and puts them back.

use serde_json::{Map, Value, json};

use super::JobSpec;
use crate::{Error, Result};

/// Where a kept spec may hold a secret, as paths of keys.
const SECRETS: &[&[&str]] = &[
    &["webhook", "secret"],
    &["webhook", "headers"],
    &["webhook", "url"],
    &["defaults", "headers"],
    &["defaults", "cookies"],
    &["defaults", "body"],
    &["input", "object", "external_id"],
];
/// Stands for a URL that was taken out, so that the rest can be read without it.
const HIDDEN_URL: &str = "https://sealed.invalid/";

impl JobSpec {
    /// The spec as JSON without its secrets, and the secrets if there are any.
    ///
    /// A webhook's URL counts as one: it often holds a token.
    pub(crate) fn split(&self) -> Result<(Value, Option<Value>)> {
        let mut open = serde_json::to_value(self).map_err(|error| Error::part("store", error))?;
        let mut secrets = Vec::new();
        for path in SECRETS {
            let Some((last, parents)) = path.split_last() else { continue };
            let parent = parents.iter().try_fold(&mut open, |value, key| value.get_mut(*key));
            let Some(parent) = parent.and_then(Value::as_object_mut) else { continue };
            if let Some(secret) = take(parent, last) {
                secrets.push(json!([path, secret]));
            }
        }
        Ok((open, (!secrets.is_empty()).then(|| Value::Array(secrets))))
    }

    /// Puts together what [`split`](Self::split) took apart; without its secrets a spec still reads.
    pub(crate) fn join(mut open: Value, secrets: Option<&Value>) -> Result<Self> {
        let damaged = |message: &str| Error::damaged("a job's spec in the store", message);
        for entry in secrets.and_then(Value::as_array).into_iter().flatten() {
            let path: Vec<&str> =
                entry[0].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let Some((last, parents)) = path.split_last() else {
                return Err(damaged("a secret without a place"));
            };
            let parent = parents.iter().try_fold(&mut open, |value, key| value.get_mut(*key));
            let parent = parent.and_then(Value::as_object_mut);
            let parent = parent.ok_or_else(|| damaged("a secret whose place is gone"))?;
            parent.insert((*last).to_owned(), entry[1].clone());
        }
        serde_json::from_value(open).map_err(|error| damaged(&error.to_string()))
    }
}

fn take(parent: &mut Map<String, Value>, key: &str) -> Option<Value> {
    let slot = parent.get_mut(key).filter(|value| !value.is_null())?;
    if key == "url" {
        return Some(std::mem::replace(slot, Value::from(HIDDEN_URL)));
    }
    parent.remove(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Limits;

    #[test]
    fn no_secret_stays_and_every_one_comes_back() {
        let body = json!({
            "urls": ["https://a.test/"],
            "defaults": {"headers": {"authorization": "Bearer hush1"}, "cookies": {"a": "hush2"},
                         "body": "hush3", "timeout_ms": 5000},
            "webhook": {"url": "https://a.test/hush4", "headers": {"x": "hush5"},
                        "secret": "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}
        });
        let submission = JobSpec::read(body.to_string().as_bytes(), &Limits::default());
        let spec = submission.unwrap().spec;
        let (open, secrets) = spec.split().unwrap();
        let text = open.to_string();
        assert!(!text.contains("hush") && !text.contains("whsec_"), "{text}");
        assert_eq!(JobSpec::join(open.clone(), secrets.as_ref()).unwrap(), spec);
        let without = JobSpec::join(open, None).unwrap();
        assert_eq!(without.defaults.timeout().as_secs(), 5);
        let debug = format!("{:?}", spec.webhook);
        assert!(!debug.contains("hush") && !debug.contains("whsec_"), "{debug}");
    }

    #[test]
    fn a_spec_without_secrets_has_none() {
        let spec = JobSpec::new(crate::spec::Input::urls(["https://a.test/"]));
        assert_eq!(spec.split().unwrap().1, None);
    }
}
