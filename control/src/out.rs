//! Standard output and standard error that may be gone.
//!
//! `print!` panics when nobody reads any more (`pfs run | head`). Here that ends nothing: who has
//! closed the pipe has read enough. Any other failure is told.

use std::io::{self, Write};

use serde::Serialize;

use crate::failure::Failure;

/// Prints `text` to standard output.
///
/// # Errors
/// When it cannot be written, other than for want of a reader.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("writing to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints `document` as indented JSON.
///
/// # Errors
/// As [`print()`].
pub(crate) fn json(document: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(document).map_err(Failure::failed)?;
    print(&(text + "\n"))
}

/// Prints a line to standard error, if anybody reads it.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
