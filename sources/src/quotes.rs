//! Finds where a row of CSV ends, without splitting it into cells.

use memchr::{memchr, memchr_iter, memchr2};

/// Where a row is inside its quotes; begins anew with each row.
///
/// Reads quotes as RFC 4180 and `csv_core` do: they open a cell only at its very beginning.
#[derive(Debug, Default)]
pub(crate) struct Quotes {
    state: State,
    inner_breaks: u64,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    CellStart,
    Plain,
    Quoted,
    /// After a quote inside a quoted cell: the first of two, or the closing one.
    Quote,
}

impl Quotes {
    /// Finds the line break that ends the row in the bytes that come next.
    pub(crate) fn find_break(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let rest = &bytes[at..];
            at += match self.state {
                State::Quoted => self.skip_quoted(rest),
                State::Plain => match memchr2(b',', b'\n', rest) {
                    Some(length) => {
                        self.state = State::CellStart;
                        // The break itself is found from the beginning of a cell.
                        length + usize::from(rest[length] == b',')
                    }
                    None => rest.len(),
                },
                State::CellStart | State::Quote if byte == b'\n' => return Some(at),
                State::CellStart | State::Quote => {
                    self.state = match byte {
                        b'"' => State::Quoted,
                        b',' => State::CellStart,
                        _ => State::Plain,
                    };
                    1
                }
            };
        }
        None
    }

    /// Whether the row, should it end here, lacks a closing quote.
    pub(crate) fn is_inside(&self) -> bool {
        matches!(self.state, State::Quoted)
    }

    /// How many line breaks inside quotes were passed.
    pub(crate) fn inner_breaks(&self) -> u64 {
        self.inner_breaks
    }

    fn skip_quoted(&mut self, rest: &[u8]) -> usize {
        let end = memchr(b'"', rest);
        self.inner_breaks += memchr_iter(b'\n', &rest[..end.unwrap_or(rest.len())]).count() as u64;
        match end {
            Some(length) => {
                self.state = State::Quote;
                length + 1
            }
            None => rest.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_ends_at_the_first_break_outside_of_quotes() {
        for (row, end, inner) in [
            ("a,b\nc", Some(3), 0),
            ("\n", Some(0), 0),
            ("\"a\nb\",c\nd", Some(7), 1),
            ("\"a\"\"\n\"\"\",\n", Some(9), 1),
            ("a\"\nb", Some(2), 0),
            ("\"a\"b\"\nc", Some(5), 0),
            ("\"a\n", None, 1),
            ("a,", None, 0),
        ] {
            let mut quotes = Quotes::default();
            assert_eq!(quotes.find_break(row.as_bytes()), end, "{row:?}");
            assert_eq!(quotes.inner_breaks(), inner, "{row:?}");
        }
    }
}
