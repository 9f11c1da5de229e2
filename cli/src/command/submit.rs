//! `curvefleet submit`: a study and its data sets to a coordinator.

use clap::Args;
use curvefleet_proto::store::Store;
use curvefleet_proto::v1::{GetInfoRequest, StudyStatus, SubmitStudyRequest, SubmitStudyResponse};

use super::print_json;
use crate::client::{Client, Coordinator};
use crate::failure::Failure;
use crate::listing::{counted, grouped};
use crate::output::say;
use crate::study_source::{Loaded, StudySource};

/// Hand a study to a coordinator.
#[derive(Debug, Args)]
pub struct Submit {
    #[command(flatten)]
    source: StudySource,
    #[command(flatten)]
    coordinator: Coordinator,
    /// The store, where this machine reaches it under another name than the coordinator says
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Print the answer for programs
    #[arg(long)]
    json: bool,
}

impl Submit {
    /// Submits.
    ///
    /// # Errors
    /// If the study or its data are wrong, or the coordinator or the store refuses them.
    pub async fn execute(self) -> Result<(), Failure> {
        let mut client = self.coordinator.connect().await?;
        let info = client.get_info(GetInfoRequest {}).await?.into_inner();
        let store = Store::open(self.store.as_deref().unwrap_or(&info.store_url), std::env::vars())?;
        let loaded = self.source.load(Some(&store)).await?;
        let name = loaded.study.name.clone();
        let (status, reply) = submit(&mut client, &store, loaded).await?;
        let runs = status.runs.unwrap_or_default();
        if self.json {
            print_json(&serde_json::json!({
                "study": name, "existed": reply.existed, "planned": runs.planned, "done": runs.done, "reused": reply.reused,
                "damaged_parts": reply.damaged_parts, "doubtful_parts": reply.doubtful_parts,
                "unread": reply.unread,
            }));
            return Ok(());
        }
        let what = if reply.existed { "was there already" } else { "is submitted" };
        say!("study {name} {what}: {}, {} done", counted(runs.planned, "run"), grouped(runs.done));
        if reply.reused > 0 {
            say!("{} of them were done already in other studies", grouped(reply.reused));
        }
        warn_of_damage(&reply, &name, &format!("curvefleet retry {name} --damaged"));
        say!("follow it with: curvefleet watch {name}");
        Ok(())
    }
}

/// Says which runs are not reused, though they were done in other studies, and what is doubtful; `remedy` is the command that trains
/// those again.
pub fn warn_of_damage(reply: &SubmitStudyResponse, study: &str, remedy: &str) {
    if reply.unread {
        say!(
            "not all curves of reused runs could be read in time; whether they are whole, tells: curvefleet verify {study}"
        );
    }
    if reply.damaged_parts > 0 {
        let files = counted(reply.damaged_parts, "file");
        say!(
            "{files} with curves of runs that other studies have done are missing or damaged: those runs are trained again"
        );
    }
    if reply.doubtful_parts > 0 {
        let files = counted(reply.doubtful_parts, "file");
        say!(
            "{files} with curves of reused runs are missing, and the store has nothing of any earlier study: is it the right one? If \
             they were deleted on purpose, have those runs trained again with: {remedy}"
        );
    }
}

/// Uploads a study's data sets and submits it.
///
/// # Errors
/// If the store or the coordinator refuses them.
pub async fn submit(
    client: &mut Client,
    store: &Store,
    mut loaded: Loaded,
) -> Result<(StudyStatus, SubmitStudyResponse), Failure> {
    loaded.upload(store).await?;
    let study_toml = loaded
        .study
        .to_toml()
        .map_err(|error| Failure::user(format!("the study cannot be written as TOML: {error}")))?;
    let reply = client.submit_study(SubmitStudyRequest { study_toml }).await?.into_inner();
    let status = reply.status.clone().ok_or_else(|| Failure::other("the coordinator answered without a status"))?;
    Ok((status, reply))
}
