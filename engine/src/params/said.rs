//! What of a task's parameters its line has said itself.

use http::{HeaderMap, HeaderName};
use serde_json::{Map, Value};

use super::{Param, Params, write::header_text};

/// Which parameters a line has set, beside the parameters that came of merging it onto the defaults:
/// with both, the line can be written again and merged onto other defaults.
///
/// Costs no allocation, unless the line removes a header.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Said {
    params: u32,
    headers: SaidHeaders,
}

/// Which headers a line has set and removed: headers are merged by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SaidHeaders {
    /// By their place among the keys of the merged headers, of which there are at most
    /// [`MAX_HEADERS`](super::MAX_HEADERS).
    set: u128,
    removed: Vec<HeaderName>,
}

impl Said {
    pub(crate) fn insert(&mut self, param: Param) {
        self.params |= 1 << param as u32;
    }

    pub(crate) fn headers_mut(&mut self) -> &mut SaidHeaders {
        &mut self.headers
    }

    /// Writes what the line has said of `params`, with null where it has removed a default.
    pub(crate) fn write(&self, params: &Params, to: &mut Map<String, Value>) {
        for &param in Param::ALL.iter().filter(|param| self.contains(**param)) {
            let value = match (param, &params.headers) {
                (Param::Headers, Some(headers)) => self.headers.write(headers),
                _ => params.value(param),
            };
            to.insert(param.name().to_owned(), value);
        }
    }

    fn contains(&self, param: Param) -> bool {
        self.params & (1 << param as u32) != 0
    }
}

impl SaidHeaders {
    /// Notes that `name` is about to be set. Setting leaves the places of the others as they are.
    pub(crate) fn will_set(&mut self, headers: &HeaderMap, name: &HeaderName) {
        let place = headers.keys().position(|key| key == name);
        self.set |= bit(place.unwrap_or(headers.keys_len()));
        self.removed.retain(|removed| removed != name);
    }

    /// Removes `name`, after which the others may stand in other places.
    pub(crate) fn remove(&mut self, headers: &mut HeaderMap, name: HeaderName) {
        let set: Vec<_> = self.names(headers).filter(|set| **set != name).cloned().collect();
        headers.remove(&name);
        let places = headers.keys().enumerate().filter(|(_, key)| set.contains(key));
        self.set = places.map(|(place, _)| bit(place)).fold(0, |set, bit| set | bit);
        if !self.removed.contains(&name) {
            self.removed.push(name);
        }
    }

    /// How many names the line has removed.
    pub(crate) fn removed(&self) -> usize {
        self.removed.len()
    }

    fn names<'a>(&self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a HeaderName> {
        let set = self.set;
        let places = headers.keys().enumerate().filter(move |(place, _)| set & bit(*place) != 0);
        places.map(|(_, name)| name)
    }

    fn write(&self, headers: &HeaderMap) -> Value {
        let text = |name: &HeaderName| headers.get(name).map_or(Value::Null, header_text);
        let set = self.names(headers).map(|name| (name.as_str().to_owned(), text(name)));
        let removed = self.removed.iter().map(|name| (name.as_str().to_owned(), Value::Null));
        Value::Object(set.chain(removed).collect())
    }
}

/// Nothing for a place past the last bit: so many headers are refused.
fn bit(place: usize) -> u128 {
    u32::try_from(place).ok().and_then(|place| 1_u128.checked_shl(place)).unwrap_or(0)
}
