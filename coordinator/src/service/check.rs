//! Bounds on names, ids and counts that come in. What is out of bounds is refused, never cut.

use curvefleet_proto::limits::MAX_NAME_BYTES;
use curvefleet_proto::plan::RunId;
use tonic::Status;

/// Hex digits of SHA-256.
const SHA256_DIGITS: usize = 64;
/// Hex digits of a run's id.
const RUN_DIGITS: usize = 32;

/// A name of at most [`MAX_NAME_BYTES`], not empty, without control characters.
pub(super) fn name(what: &str, name: &str) -> Result<(), Status> {
    if name.is_empty() {
        return Err(Status::invalid_argument(format!("{what} is empty")));
    }
    if name.len() > MAX_NAME_BYTES {
        let message = format!("{what} has {} bytes; at most {MAX_NAME_BYTES} are taken", name.len());
        return Err(Status::invalid_argument(message));
    }
    if name.chars().any(char::is_control) {
        return Err(Status::invalid_argument(format!("{what} holds a control character")));
    }
    Ok(())
}

/// A text of at most `max_bytes`.
pub(super) fn text(what: &str, text: &str, max_bytes: usize) -> Result<(), Status> {
    count(what, text.len(), max_bytes, "bytes")
}

/// At most `max` of something.
pub(super) fn count(what: &str, count: usize, max: usize, unit: &str) -> Result<(), Status> {
    if count <= max {
        return Ok(());
    }
    Err(Status::invalid_argument(format!("{what} has {count} {unit}; at most {max} are taken")))
}

/// A run's id in its one spelling.
pub(super) fn run_id(text: &str) -> Result<String, Status> {
    text.parse::<RunId>().map(|id| id.to_string()).map_err(|error| Status::invalid_argument(error.to_string()))
}

/// The first digits of a run's id, in lower case.
pub(super) fn run_prefix(text: &str) -> Result<String, Status> {
    let sound = (1..=RUN_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if sound {
        return Ok(text.to_ascii_lowercase());
    }
    let shown = curvefleet_proto::limits::prefix(text, MAX_NAME_BYTES);
    Err(Status::invalid_argument(format!("`{shown}` is not a run id: up to {RUN_DIGITS} hex digits are expected")))
}

/// SHA-256 as 64 lower-case hex digits.
pub(super) fn sha256(what: &str, text: &str) -> Result<(), Status> {
    if text.len() == SHA256_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(());
    }
    Err(Status::invalid_argument(format!("{what} is not a SHA-256 of {SHA256_DIGITS} lower-case hex digits")))
}
