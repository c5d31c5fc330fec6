//! What the program says. Nobody has to listen: a closed standard error ends no job.

use std::{
    fmt::Display,
    io::{self, Write},
};

/// Writes a line to standard error.
pub(crate) fn error_line(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes a line to standard output.
pub(crate) fn output_line(line: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}
