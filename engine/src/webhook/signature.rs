//! How a delivery is signed: by Standard Webhooks, and in the vendor's own way.

use std::{collections::BTreeMap, fmt};

use hmac_sha256::HMAC;
use http::{HeaderMap, HeaderName, HeaderValue};
use rand::RngExt;
use standardwebhooks::Webhook;

use crate::{Error, Result};

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// A secret of ours, in bytes.
const OWN_BYTES: usize = 32;
/// The bounds of a secret that is given, in bytes, by the Standard Webhooks specification.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Headers that a delivery sets itself, or that belong to the connection.
const RESERVED: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The secret that an endpoint knows deliveries by: `whsec_` and base64.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
    key: Vec<u8>,
}

impl Secret {
    /// A new secret, drawn at random.
    pub fn random() -> Self {
        let key: [u8; OWN_BYTES] = rand::rng().random();
        let text = format!("{PREFIX}{}", data_encoding::BASE64.encode(&key));
        Self { text, key: key.to_vec() }
    }

    /// Reads a secret; the message of an error doesn't repeat it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let shape = || format!("must be `{PREFIX}` and the base64 of 24 to 64 bytes");
        let encoded = text.strip_prefix(PREFIX).ok_or_else(shape)?;
        let key = data_encoding::BASE64.decode(encoded.as_bytes()).map_err(|_| shape())?;
        if !BYTES.contains(&key.len()) {
            return Err(shape());
        }
        Ok(Self { text: text.to_owned(), key })
    }

    /// The secret as the endpoint's owner gets it.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// Lower-case hexadecimal HMAC-SHA256 over `{timestamp}.{body}`, with the whole text as key.
    fn sign_for_vendor(&self, timestamp: i64, body: &[u8]) -> String {
        let signed = [format!("{timestamp}.").as_bytes(), body].concat();
        data_encoding::HEXLOWER.encode(&HMAC::mac(signed, self.text.as_bytes()))
    }

    /// `v1,` and base64, as the Standard Webhooks specification has it.
    fn sign_by_standard(&self, id: &str, timestamp: i64, body: &[u8]) -> Result<String> {
        let webhook = Webhook::from_bytes(self.key.clone());
        let signature = webhook.and_then(|webhook| webhook.sign(id, timestamp, body));
        signature.map_err(|error| Error::part("webhook", error))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}

/// The headers that sign a delivery, in both families.
#[derive(Clone, Copy, Debug)]
pub struct SignatureHeaders<'a> {
    /// What the vendor's headers begin with; `X-Hypedata` in the contract.
    pub vendor: &'a str,
    /// The event's name.
    pub event: &'a str,
    /// The event's id: the same at every try.
    pub event_id: &'a str,
    /// The delivery's id.
    pub delivery_id: &'a str,
    /// The seconds since 1970 of this try.
    pub timestamp: i64,
}

impl SignatureHeaders<'_> {
    /// Signs `body` with each secret; the first is the current one. While secrets are rotated,
    /// the standard's header carries a signature by each, the vendor's by the current one.
    pub fn sign(&self, secrets: &[Secret], body: &[u8]) -> Result<HeaderMap> {
        let by_standard: Result<Vec<_>> = secrets
            .iter()
            .map(|secret| secret.sign_by_standard(self.event_id, self.timestamp, body))
            .collect();
        let timestamp = self.timestamp.to_string();
        let mut headers = HeaderMap::new();
        insert(&mut headers, "webhook-id", self.event_id)?;
        insert(&mut headers, "webhook-timestamp", &timestamp)?;
        insert(&mut headers, "webhook-signature", &by_standard?.join(" "))?;
        let vendor = |name: &str| format!("{}-{name}", self.vendor);
        insert(&mut headers, &vendor("Event"), self.event)?;
        insert(&mut headers, &vendor("Delivery"), self.delivery_id)?;
        insert(&mut headers, &vendor("Timestamp"), &timestamp)?;
        if let Some(current) = secrets.first() {
            let signature = format!("sha256={}", current.sign_for_vendor(self.timestamp, body));
            insert(&mut headers, &vendor("Signature"), &signature)?;
        }
        Ok(headers)
    }
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str) -> Result<()> {
    let name = HeaderName::from_bytes(name.as_bytes());
    let name = name.map_err(|error| Error::part("webhook", error))?;
    let value = HeaderValue::from_str(value).map_err(|error| Error::part("webhook", error))?;
    headers.insert(name, value);
    Ok(())
}

/// Whether these headers may go along with a delivery; the message names the first that may not.
pub fn check_headers(headers: &BTreeMap<String, String>) -> Result<HeaderMap, String> {
    let mut checked = HeaderMap::new();
    for (name, value) in headers {
        let shown = name.escape_debug();
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            return Err(format!("`{shown}` is no header name"));
        };
        let is_signature = name.as_str().starts_with("webhook-");
        if RESERVED.contains(&name.as_str()) || is_signature {
            return Err(format!("`{name}` is set by the delivery itself"));
        }
        let Ok(value) = HeaderValue::from_str(value) else {
            return Err(format!("the value of `{name}` holds a control character"));
        };
        checked.insert(name, value);
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const BODY: &[u8] = br#"{"event":"job.completed","id":"evt_0123456789ABCDEF","created_at":"2026-05-11T22:20:14Z","data":{"job_id":"job_3F2D1A77B0E1"}}"#;

    fn headers(secrets: &[Secret]) -> HeaderMap {
        let signature = SignatureHeaders {
            vendor: "X-Hypedata",
            event: "job.completed",
            event_id: "evt_0123456789ABCDEF",
            delivery_id: "dlv_1",
            timestamp: 1_778_538_014,
        };
        signature.sign(secrets, BODY).unwrap()
    }

    #[test]
    fn both_signatures_match_the_contracts_vector() {
        let headers = headers(&[Secret::parse(SECRET).unwrap()]);
        assert_eq!(
            headers["x-hypedata-signature"],
            "sha256=0647b592bcf598281fa098fda8f02b64682d2e1de6ad86e373b659606ad0d031"
        );
        assert_eq!(headers["webhook-signature"], "v1,A/LZ6MPnRAHx0diNk7nTTzugAEDhX51ZtrYbnd0NHiM=");
        assert_eq!(headers["webhook-id"], "evt_0123456789ABCDEF");
        assert_eq!(headers["x-hypedata-timestamp"], "1778538014");
    }

    #[test]
    fn a_rotated_secret_signs_along() {
        let (new, old) = (Secret::random(), Secret::parse(SECRET).unwrap());
        let headers = headers(&[new.clone(), old]);
        let signatures = headers["webhook-signature"].to_str().unwrap();
        assert_eq!(signatures.split(' ').count(), 2);
        assert!(signatures.ends_with("v1,A/LZ6MPnRAHx0diNk7nTTzugAEDhX51ZtrYbnd0NHiM="));
        assert_eq!(Secret::parse(new.reveal()).unwrap(), new);
    }

    #[test]
    fn a_secret_that_cannot_be_used_is_refused_without_being_repeated() {
        for text in ["", "AAEC", "whsec_", "whsec_AAEC", "whsec_%%%"] {
            let message = Secret::parse(text).unwrap_err();
            assert!(message.contains("24 to 64 bytes"), "{message}");
        }
        assert_eq!(format!("{:?}", Secret::random()), "Secret { .. }");
    }

    #[test]
    fn headers_of_the_connection_and_of_the_signature_are_refused() {
        let check = |name: &str, value: &str| {
            check_headers(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
        };
        assert!(check("x-token", "abc").is_ok());
        for (name, value) in [("Host", "a"), ("webhook-id", "a"), ("a b", "c"), ("a", "b\r\nc: d")]
        {
            assert!(check(name, value).is_err(), "{name}");
        }
    }
}
