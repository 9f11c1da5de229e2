//! `curvefleet cancel` and `curvefleet retry`.

use clap::Args;
use curvefleet_proto::v1::{CancelStudyRequest, RetryStudyRequest};

use super::watch::outcome;
use crate::client::Coordinator;
use crate::failure::Failure;
use crate::listing::counted;
use crate::output::say;

/// Give up the runs of a study that are not done.
#[derive(Debug, Args)]
pub struct Cancel {
    /// The study's name
    study: String,
    #[command(flatten)]
    coordinator: Coordinator,
}

/// Put the failed and cancelled runs of a study back into the queue.
#[derive(Debug, Args)]
pub struct Retry {
    /// The study's name
    study: String,
    #[command(flatten)]
    coordinator: Coordinator,
}

impl Cancel {
    /// Cancels.
    ///
    /// # Errors
    /// If the coordinator does not answer or knows no such study.
    pub async fn execute(self) -> Result<(), Failure> {
        let mut client = self.coordinator.connect().await?;
        let reply = client.cancel_study(CancelStudyRequest { name: self.study }).await?.into_inner();
        say!("{}", outcome(&reply.status.unwrap_or_default()));
        Ok(())
    }
}

impl Retry {
    /// Requeues.
    ///
    /// # Errors
    /// If the coordinator does not answer or knows no such study.
    pub async fn execute(self) -> Result<(), Failure> {
        let mut client = self.coordinator.connect().await?;
        let reply = client.retry_study(RetryStudyRequest { name: self.study.clone() }).await?.into_inner();
        say!("{} of study {} put back into the queue", counted(reply.requeued, "run"), self.study);
        Ok(())
    }
}
