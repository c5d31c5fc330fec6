//! Places for what takes long: bounded in all, and for each workspace, so that none takes them all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::error::{ApiError, ErrorCode};

/// After how many seconds a place may be free.
const RETRY_S: u64 = 5;

/// Places, some for each workspace. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Places(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    what: &'static str,
    most: usize,
    most_each: usize,
    taken: Mutex<HashMap<String, usize>>,
}

/// A place, given back when dropped.
#[derive(Debug)]
#[must_use = "the place is given back when this is dropped"]
pub(crate) struct Place {
    places: Places,
    workspace: String,
}

impl Places {
    /// Places for `what`, a plural.
    pub(crate) fn new(what: &'static str, most: usize, most_each: usize) -> Self {
        Self(Arc::new(Inner { what, most, most_each, taken: Mutex::default() }))
    }

    /// Takes a place, or says that there is none.
    pub(crate) fn take(&self, workspace: &str) -> Result<Place, ApiError> {
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(workspace).copied().unwrap_or(0);
        if own >= self.0.most_each || taken.values().sum::<usize>() >= self.0.most {
            let message = format!("too many {} are under way; try again later", self.0.what);
            return Err(ApiError::new(ErrorCode::Overloaded, message).with_retry_after(RETRY_S));
        }
        taken.insert(workspace.to_owned(), own + 1);
        Ok(Place { places: self.clone(), workspace: workspace.to_owned() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.workspace) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.workspace);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_workspace_takes_all_places_and_they_come_back() {
        let places = Places::new("uploads", 3, 2);
        let first = places.take("acme").unwrap();
        let _second = places.take("acme").unwrap();
        assert_eq!(places.take("acme").unwrap_err().code, ErrorCode::Overloaded);
        let _other = places.take("beta").unwrap();
        assert!(places.take("gamma").is_err());
        drop(first);
        let _third = places.take("gamma").unwrap();
    }
}
