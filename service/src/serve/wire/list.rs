//! Pages of lists, and the cursors between them.

use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use utoipa::ToSchema;

use crate::serve::error::{ApiError, ErrorCode};

/// One page of a list, newest first unless said otherwise.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The entries.
    pub(crate) data: Vec<T>,
    /// Whether there are more.
    has_more: bool,
    /// What to pass as `cursor` for the next page; null if there is none.
    next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of at most `limit` entries out of one entry more; `number` tells their places.
    pub(crate) fn new<E>(
        mut entries: Vec<E>,
        limit: usize,
        number: impl Fn(&E) -> u64,
        show: impl FnMut(E) -> T,
    ) -> Self {
        let has_more = entries.len() > limit;
        entries.truncate(limit);
        let next_cursor = entries.last().filter(|_| has_more).map(|last| cursor(number(last)));
        Self { data: entries.into_iter().map(show).collect(), has_more, next_cursor }
    }
}

/// The cursor behind the entry with this number.
fn cursor(number: u64) -> String {
    BASE64URL_NOPAD.encode(number.to_string().as_bytes())
}

/// The number of a cursor.
pub(crate) fn number_of(cursor: &str) -> Result<u64, ApiError> {
    let decoded = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok();
    let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or_else(|| {
        let message = "the query's parameter `cursor`: pass a next_cursor as it was given";
        ApiError::new(ErrorCode::InvalidRequest, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_knows_whether_there_are_more() {
        let page = Page::new(vec![9, 8, 7], 2, |number| *number, |number| number);
        assert_eq!((page.data, page.has_more), (vec![9, 8], true));
        assert_eq!(number_of(&page.next_cursor.unwrap()).unwrap(), 8);
        let last = Page::new(vec![7], 2, |number| *number, |number| number);
        assert!(!last.has_more && last.next_cursor.is_none());
    }

    #[test]
    fn a_made_up_cursor_is_refused() {
        for cursor in ["", "!", "LTE", "eA", "99999999999999999999999999"] {
            assert!(number_of(cursor).is_err(), "{cursor}");
        }
    }
}
