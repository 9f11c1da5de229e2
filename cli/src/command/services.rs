//! `curvefleet coordinator` and `curvefleet worker`: the programs that run on.

use crate::failure::Failure;

/// Runs a coordinator until it is told to stop.
///
/// # Errors
/// If it cannot start.
pub async fn coordinator(options: curvefleet_coordinator::Options) -> Result<(), Failure> {
    Ok(curvefleet_coordinator::run(options).await?)
}

/// Runs a worker until it is told to stop.
///
/// # Errors
/// If it cannot start.
pub async fn worker(options: curvefleet_worker::Options) -> Result<(), Failure> {
    Ok(curvefleet_worker::run(options, crate::GIT_COMMIT).await?)
}
