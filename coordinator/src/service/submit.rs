//! Taking a study: everything that can be wrong with it is refused before anything is scheduled.

use std::sync::Arc;

use curvefleet_proto::artifact::{dataset_key, sha256_hex, study_key};
use curvefleet_proto::limits::MAX_STUDY_BYTES;
use curvefleet_proto::plan;
use curvefleet_proto::study::{Study, file};
use curvefleet_proto::v1::SubmitStudyResponse;
use object_store::ObjectStoreExt as _;
use tonic::Status;

use super::reused::{self, Found};
use super::{Core, check, message, refuse};
use crate::entering;
use crate::ledger::Error;
use crate::ledger::study::StudyStatus;
use crate::ledger::submit::Submit;

/// Takes the study in `text`, a resolved study file.
pub(super) async fn submit(core: &Arc<Core>, text: &str, who: String) -> Result<SubmitStudyResponse, Status> {
    let (study, toml) = check(text)?;
    let hash = sha256_hex(toml.as_bytes());
    let submitting = core.submitting.lock().await;
    if !is_known(core, &study.name, &hash).await? {
        check_data(core, &study).await?;
        let key = study_key(&study.name);
        let put = core.store.objects().put(&key.as_str().into(), toml.clone().into()).await;
        put.map_err(|error| Status::unavailable(format!("the store does not take `{key}`: {error}")))?;
    }
    let (name, study) = (study.name.clone(), Arc::new(study));
    let submit = Submit { study: study.clone(), toml, hash: hash.clone(), who: who.clone() };
    let submitted = core.ledger.ask(submit).await.map_err(refuse::ledger)?;
    drop(submitting);
    let (ledger, entered) = (core.ledger.clone(), submitted.entered);
    // A task of its own: it goes on where the client does not wait for it.
    let entering = tokio::spawn(async move { entering::enter(&ledger, study, &hash, entered).await });
    let entered = entering.await.map_err(|error| Status::internal(error.to_string()))?.map_err(refuse::ledger)?;
    let done = if submitted.existed { 0 } else { entered.reused };
    let found = if done > 0 {
        reused::check(core.clone(), name.clone(), who).await
    } else {
        Found { is_all: true, ..Found::default() }
    };
    let reused = done.saturating_sub(found.taken_back);
    tracing::info!(study = name, existed = submitted.existed, reused, "took the study");
    let status = core.ledger.ask(StudyStatus { name }).await.map_err(refuse::ledger)?;
    let (existed, status) = (submitted.existed, Some(message::status(core, status)));
    Ok(SubmitStudyResponse {
        status,
        existed,
        reused,
        damaged_parts: found.damaged,
        doubtful_parts: found.doubtful,
        unread: !found.is_all,
    })
}

/// The study in a text that can be planned, and the text in which it is kept.
pub(super) fn check(text: &str) -> Result<(Study, String), Status> {
    check::text("the study file", text, MAX_STUDY_BYTES)?;
    let study = parse(text)?;
    let toml = study.to_toml().map_err(|error| Status::invalid_argument(error.to_string()))?;
    plan::cells(&study).map_err(|error| Status::invalid_argument(error.to_string()))?;
    Ok((study, toml))
}

fn parse(text: &str) -> Result<Study, Status> {
    let study = file::parse(text).and_then(|parsed| parsed.resolve_stored());
    study.map_err(|error| Status::invalid_argument(format!("the study file is refused: {error}")))
}

/// Whether this very study is in the ledger already; refuses another one of the same name.
async fn is_known(core: &Core, name: &str, hash: &str) -> Result<bool, Status> {
    match core.ledger.ask(StudyStatus { name: name.to_string() }).await {
        Ok(status) if status.hash == hash => Ok(true),
        Ok(_) => Err(refuse::ledger(Error::OtherStudy(name.to_string()))),
        Err(Error::NoStudy(_)) => Ok(false),
        Err(error) => Err(refuse::ledger(error)),
    }
}

/// Workers will need the data sets; a study without them would only fail later.
async fn check_data(core: &Core, study: &Study) -> Result<(), Status> {
    for data in &study.data {
        let sha256 = &data.summary.sha256;
        check::sha256(&format!("the `sha256` of the data set `{}`", data.name), sha256)?;
        let key = dataset_key(sha256);
        match core.store.objects().head(&key.as_str().into()).await {
            Ok(_) => {}
            Err(object_store::Error::NotFound { .. }) => {
                return Err(Status::failed_precondition(format!(
                    "the data set `{}` is not in the store as {}; submit the study with `curvefleet submit`, which \
                     puts it there",
                    data.name,
                    core.store.locate(&key)
                )));
            }
            Err(error) => {
                return Err(Status::unavailable(format!("the store {} fails: {error}", core.store.url())));
            }
        }
    }
    Ok(())
}
