//! Printing what a command has found. `println!` panics where the reader has gone (`curvefleet runs … | head`); this ends quietly.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

/// The exit code of a program whose reader has gone, as shells count it: 128 + SIGPIPE.
const READER_GONE: i32 = 141;

/// Prints a line on standard output.
macro_rules! say {
    ($($text:tt)*) => { $crate::output::line(format_args!($($text)*)) };
}
pub(crate) use say;

/// Prints a line on standard output; ends the process where nobody reads it any more.
pub fn line(text: Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush()) {
        if error.kind() != ErrorKind::BrokenPipe {
            eprintln!("error: the output cannot be written: {error}");
        }
        std::process::exit(READER_GONE);
    }
}
