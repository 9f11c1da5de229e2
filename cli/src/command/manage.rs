//! `curvefleet cancel` and `curvefleet retry`.

use clap::Args;
use curvefleet_proto::v1::{CancelStudyRequest, GetInfoRequest, RetryStudyRequest};

use super::watch::outcome;
use crate::archive::repair::{Repaired, repair};
use crate::client::{Client, Coordinator};
use crate::failure::Failure;
use crate::listing::counted;
use crate::output::say;
use crate::study_source::existing;

/// Give up the runs of a study that are not done.
#[derive(Debug, Args)]
pub struct Cancel {
    /// The study's name
    study: String,
    #[command(flatten)]
    coordinator: Coordinator,
}

/// Put failed and cancelled runs of a study, or damaged ones, back into the queue.
#[derive(Debug, Args)]
pub struct Retry {
    /// The study's name
    study: String,
    /// Verify the curves of done runs, and put those that are damaged or missing back into the queue instead
    #[arg(long)]
    damaged: bool,
    /// With --damaged: the store, where this machine reaches it under another name than the coordinator says
    #[arg(long, value_name = "URL", requires = "damaged")]
    store: Option<String>,
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
        if self.damaged {
            return self.repair(&mut client).await;
        }
        let reply = client.retry_study(RetryStudyRequest { name: self.study.clone() }).await?.into_inner();
        say!("{} of study {} put back into the queue", counted(reply.requeued, "run"), self.study);
        Ok(())
    }

    async fn repair(&self, client: &mut Client) -> Result<(), Failure> {
        let info = client.get_info(GetInfoRequest {}).await?.into_inner();
        let store = existing(self.store.as_deref().unwrap_or(&info.store_url))?;
        let repaired = repair(client, &store, &self.study).await?;
        show(&self.study, &repaired)
    }
}

/// Says what was repaired.
///
/// # Errors
/// If something is damaged that training again does not mend.
pub fn show(study: &str, repaired: &Repaired) -> Result<(), Failure> {
    let verified = &repaired.verified;
    for data in &verified.damaged_data {
        eprintln!(
            "  the data set {} has other bytes than its SHA-256 {} says; import it again",
            data.name, data.sha256
        );
    }
    for name in &verified.absent_data {
        eprintln!("  the data set {name} is not in the store; import it again");
    }
    if verified.damaged.is_empty() {
        say!("the curves of all {} of study {study} are whole", counted(verified.whole.len() as u64, "done run"));
    } else {
        say!("{} of study {study} with damaged curves put back into the queue", counted(repaired.requeued, "run"));
    }
    match repaired.as_committed.as_slice() {
        [] => Ok(()),
        parts => Err(Failure::other(format!(
            "{} as they were committed, although they hold no sound curves: {}; training again is no remedy, please report this",
            if parts.len() == 1 { "a part is" } else { "some parts are" },
            parts.join(", ")
        ))),
    }
}
