//! The service for people and tools.

use std::sync::Arc;

use curvefleet_proto::limits::{MAX_AUDIT_PER_PAGE, MAX_REASON_BYTES, MAX_RUNS_PER_CHECK, MAX_RUNS_PER_PAGE};
use curvefleet_proto::v1::study_service_server::StudyService;
use curvefleet_proto::v1::{
    CancelStudyRequest, CancelStudyResponse, CheckRunsRequest, CheckRunsResponse, DrainWorkerRequest,
    DrainWorkerResponse, ExplainRequest, ExplainResponse, GetInfoRequest, GetInfoResponse, GetLogsRequest,
    GetLogsResponse, GetStudyRequest, GetStudyResponse, ListAuditRequest, ListAuditResponse, ListMovedPartsRequest,
    ListMovedPartsResponse, ListRunsRequest, ListRunsResponse, ListStudiesRequest, ListStudiesResponse,
    ListWorkersRequest, ListWorkersResponse, MovedPart, PauseStudyRequest, PauseStudyResponse, PrioritizeStudyRequest,
    PrioritizeStudyResponse, ResumeStudyRequest, ResumeStudyResponse, RetryDamagedRequest, RetryDamagedResponse,
    RetryStudyRequest, RetryStudyResponse, StudyStatus, SubmitStudyRequest, SubmitStudyResponse, UndrainWorkerRequest,
    UndrainWorkerResponse, WatchStudyRequest, WatchStudyResponse, WorkerStatus, WriteManifestRequest,
    WriteManifestResponse,
};
use tonic::{Request, Response, Status};

use super::worker::MAX_KEY_BYTES;
use super::{Answers, Core, check, damage, message, refuse, submit, watch};
use crate::access::Caller;
use crate::explain::{Scene, explain};
use crate::ledger::audit::ListAudit;
use crate::ledger::cancel::Cancel;
use crate::ledger::check::CheckRuns;
use crate::ledger::compact::{ListMoved, Moved};
use crate::ledger::drain::Drain;
use crate::ledger::explain::Explain;
use crate::ledger::logs::Logs;
use crate::ledger::pause::{Pause, Prioritize};
use crate::ledger::retry::Retry;
use crate::ledger::runs::ListRuns;
use crate::ledger::study::{GetStudy, ListStudies};
use crate::ledger::workers::ListWorkers;

/// [`StudyService`] over the ledger.
pub(crate) struct StudyApi {
    core: Arc<Core>,
}

impl StudyApi {
    pub fn new(core: Arc<Core>) -> StudyApi {
        StudyApi { core }
    }

    async fn pause(&self, study: String, paused: bool, reason: String, who: String) -> Result<StudyStatus, Status> {
        check::name("the study's name", &study)?;
        check::text("the reason", &reason, MAX_REASON_BYTES)?;
        tracing::info!(study, paused, who, reason, "pausing the study or letting it go on");
        let status = self.core.ledger.ask(Pause { study, paused, reason, who }).await.map_err(refuse::ledger)?;
        Ok(message::status(&self.core, status))
    }

    async fn drain(&self, worker: String, drained: bool, reason: String, who: String) -> Result<WorkerStatus, Status> {
        check::name("the worker's name", &worker)?;
        check::text("the reason", &reason, MAX_REASON_BYTES)?;
        tracing::info!(worker, drained, who, reason, "draining the worker or letting it work again");
        let drained = self.core.ledger.ask(Drain { worker, drained, reason, who }).await.map_err(refuse::ledger)?;
        Ok(message::worker(drained))
    }
}

#[tonic::async_trait]
impl StudyService for StudyApi {
    type WatchStudyStream = Answers<WatchStudyResponse>;

    async fn get_info(&self, _: Request<GetInfoRequest>) -> Result<Response<GetInfoResponse>, Status> {
        Ok(Response::new(GetInfoResponse {
            version: env!("CARGO_PKG_VERSION").to_string(),
            store_url: self.core.store.url().to_string(),
            lease_ms: self.core.settings.lease_ms,
        }))
    }

    async fn submit_study(
        &self,
        request: Request<SubmitStudyRequest>,
    ) -> Result<Response<SubmitStudyResponse>, Status> {
        let who = Caller::of(&request)?.audit_name();
        submit::submit(&self.core, &request.into_inner().study_toml, who).await.map(Response::new)
    }

    async fn check_runs(&self, request: Request<CheckRunsRequest>) -> Result<Response<CheckRunsResponse>, Status> {
        let runs = request.into_inner().runs;
        check::count("the look-up", runs.len(), MAX_RUNS_PER_CHECK, "runs")?;
        let runs = runs.iter().map(|run| check::run_id(run)).collect::<Result<Vec<_>, _>>()?;
        let done = self.core.ledger.ask(CheckRuns { runs }).await.map_err(refuse::ledger)?;
        Ok(Response::new(CheckRunsResponse { done }))
    }

    async fn list_studies(&self, _: Request<ListStudiesRequest>) -> Result<Response<ListStudiesResponse>, Status> {
        let studies = self.core.ledger.ask(ListStudies).await.map_err(refuse::ledger)?;
        let studies = studies.into_iter().map(|status| message::status(&self.core, status)).collect();
        Ok(Response::new(ListStudiesResponse { studies }))
    }

    async fn get_study(&self, request: Request<GetStudyRequest>) -> Result<Response<GetStudyResponse>, Status> {
        let name = request.into_inner().name;
        check::name("the study's name", &name)?;
        let study = self.core.ledger.ask(GetStudy { name }).await.map_err(refuse::ledger)?;
        let status = Some(message::status(&self.core, study.status));
        Ok(Response::new(GetStudyResponse { status, study_toml: study.toml }))
    }

    async fn watch_study(
        &self,
        request: Request<WatchStudyRequest>,
    ) -> Result<Response<Answers<WatchStudyResponse>>, Status> {
        let name = request.into_inner().name;
        check::name("the study's name", &name)?;
        watch::start(self.core.clone(), name).await.map(Response::new)
    }

    async fn cancel_study(
        &self,
        request: Request<CancelStudyRequest>,
    ) -> Result<Response<CancelStudyResponse>, Status> {
        let who = Caller::of(&request)?.audit_name();
        let study = request.into_inner().name;
        check::name("the study's name", &study)?;
        tracing::info!(study, who, "cancelling the study");
        let status = self.core.ledger.ask(Cancel { study, who }).await.map_err(refuse::ledger)?;
        Ok(Response::new(CancelStudyResponse { status: Some(message::status(&self.core, status)) }))
    }

    async fn retry_study(&self, request: Request<RetryStudyRequest>) -> Result<Response<RetryStudyResponse>, Status> {
        let who = Caller::of(&request)?.audit_name();
        let study = request.into_inner().name;
        check::name("the study's name", &study)?;
        tracing::info!(study, who, "retrying the study's failed and cancelled runs");
        let retried = self.core.ledger.ask(Retry { study, who }).await.map_err(refuse::ledger)?;
        let status = Some(message::status(&self.core, retried.status));
        Ok(Response::new(RetryStudyResponse { requeued: retried.requeued, status }))
    }

    async fn retry_damaged(
        &self,
        request: Request<RetryDamagedRequest>,
    ) -> Result<Response<RetryDamagedResponse>, Status> {
        let who = Caller::of(&request)?.audit_name();
        damage::retry(&self.core, request.into_inner(), who).await.map(Response::new)
    }

    async fn pause_study(&self, request: Request<PauseStudyRequest>) -> Result<Response<PauseStudyResponse>, Status> {
        let who = Caller::of(&request)?.audit_name();
        let PauseStudyRequest { name, reason } = request.into_inner();
        let status = self.pause(name, true, reason, who).await?;
        Ok(Response::new(PauseStudyResponse { status: Some(status) }))
    }

    async fn resume_study(
        &self,
        request: Request<ResumeStudyRequest>,
    ) -> Result<Response<ResumeStudyResponse>, Status> {
        let who = Caller::of(&request)?.audit_name();
        let status = self.pause(request.into_inner().name, false, String::new(), who).await?;
        Ok(Response::new(ResumeStudyResponse { status: Some(status) }))
    }

    async fn prioritize_study(
        &self,
        request: Request<PrioritizeStudyRequest>,
    ) -> Result<Response<PrioritizeStudyResponse>, Status> {
        let who = Caller::of(&request)?.audit_name();
        let PrioritizeStudyRequest { name: study, priority } = request.into_inner();
        check::name("the study's name", &study)?;
        tracing::info!(study, priority, who, "giving the study a priority");
        let status = self.core.ledger.ask(Prioritize { study, priority, who }).await.map_err(refuse::ledger)?;
        Ok(Response::new(PrioritizeStudyResponse { status: Some(message::status(&self.core, status)) }))
    }

    async fn drain_worker(
        &self,
        request: Request<DrainWorkerRequest>,
    ) -> Result<Response<DrainWorkerResponse>, Status> {
        let who = Caller::of(&request)?.audit_name();
        let DrainWorkerRequest { worker, reason } = request.into_inner();
        let worker = self.drain(worker, true, reason, who).await?;
        Ok(Response::new(DrainWorkerResponse { worker: Some(worker) }))
    }

    async fn undrain_worker(
        &self,
        request: Request<UndrainWorkerRequest>,
    ) -> Result<Response<UndrainWorkerResponse>, Status> {
        let who = Caller::of(&request)?.audit_name();
        let worker = self.drain(request.into_inner().worker, false, String::new(), who).await?;
        Ok(Response::new(UndrainWorkerResponse { worker: Some(worker) }))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        let what = request.into_inner().what;
        check::name("what is to be explained", &what)?;
        let found = self.core.ledger.ask(Explain { what }).await.map_err(refuse::ledger)?;
        let scene = Scene { now_ms: found.now_ms, settings: self.core.settings, rates: &self.core.rates };
        let explanations = found.about.iter().map(|about| explain(&scene, about)).collect();
        Ok(Response::new(ExplainResponse { explanations }))
    }

    async fn list_audit(&self, request: Request<ListAuditRequest>) -> Result<Response<ListAuditResponse>, Status> {
        let ListAuditRequest { target, page_size, before } = request.into_inner();
        check::text("the target", &target, MAX_KEY_BYTES)?;
        check::count("the page", page_size as usize, MAX_AUDIT_PER_PAGE as usize, "entries")?;
        let limit = if page_size == 0 { MAX_AUDIT_PER_PAGE } else { page_size };
        let list = ListAudit { target, before: (before > 0).then_some(before), limit };
        let entries = self.core.ledger.ask(list).await.map_err(refuse::ledger)?;
        Ok(Response::new(ListAuditResponse { entries: entries.into_iter().map(message::audit).collect() }))
    }

    async fn list_runs(&self, request: Request<ListRunsRequest>) -> Result<Response<ListRunsResponse>, Status> {
        let request = request.into_inner();
        let list = list_runs(request)?;
        let page = self.core.ledger.ask(list).await.map_err(refuse::ledger)?;
        let runs = page.runs.into_iter().map(message::run).collect();
        Ok(Response::new(ListRunsResponse { runs, next_page: message::page_token(page.next) }))
    }

    async fn get_logs(&self, request: Request<GetLogsRequest>) -> Result<Response<GetLogsResponse>, Status> {
        let run = check::run_prefix(&request.into_inner().run)?;
        let attempts = self.core.ledger.ask(Logs { run }).await.map_err(refuse::ledger)?;
        Ok(Response::new(GetLogsResponse { attempts: message::attempts(attempts) }))
    }

    async fn list_workers(&self, _: Request<ListWorkersRequest>) -> Result<Response<ListWorkersResponse>, Status> {
        let workers = self.core.ledger.ask(ListWorkers).await.map_err(refuse::ledger)?;
        Ok(Response::new(ListWorkersResponse { workers: workers.into_iter().map(message::worker).collect() }))
    }

    async fn write_manifest(
        &self,
        request: Request<WriteManifestRequest>,
    ) -> Result<Response<WriteManifestResponse>, Status> {
        let study = request.into_inner().study;
        check::name("the study's name", &study)?;
        let (key, runs) = self.core.manifests.write(&study).await.map_err(refuse::manifest)?;
        Ok(Response::new(WriteManifestResponse { key, runs }))
    }

    async fn list_moved_parts(
        &self,
        request: Request<ListMovedPartsRequest>,
    ) -> Result<Response<ListMovedPartsResponse>, Status> {
        let ListMovedPartsRequest { study, since_ms, page_size, page: after } = request.into_inner();
        check::name("the study's name", &study)?;
        check::text("the page", &after, MAX_KEY_BYTES)?;
        check::count("the page", page_size as usize, MAX_RUNS_PER_PAGE as usize, "parts")?;
        let limit = if page_size == 0 { MAX_RUNS_PER_PAGE } else { page_size };
        let list = ListMoved { study, since_ms, after, limit };
        let moved = self.core.ledger.ask(list).await.map_err(refuse::ledger)?;
        let last = moved.last().filter(|_| moved.len() >= limit as usize);
        let next_page = last.map(|moved| moved.part.clone()).unwrap_or_default();
        let parts = moved.into_iter().map(|Moved { part, moved_ms }| MovedPart { part, moved_ms }).collect();
        Ok(Response::new(ListMovedPartsResponse { parts, next_page }))
    }
}

pub(super) fn list_runs(request: ListRunsRequest) -> Result<ListRuns, Status> {
    check::name("the study's name", &request.study)?;
    check::count("the page", request.page_size as usize, MAX_RUNS_PER_PAGE as usize, "runs")?;
    let state = v1_state(request.state)?;
    let limit = if request.page_size == 0 { MAX_RUNS_PER_PAGE } else { request.page_size };
    let after = match request.page.as_str() {
        "" => None,
        token => Some(message::parse_page_token(token).ok_or_else(|| {
            Status::invalid_argument("the page is not one that a listing named; begin with an empty one")
        })?),
    };
    Ok(ListRuns { study: request.study, state, after, limit })
}

fn v1_state(number: i32) -> Result<Option<crate::ledger::state::RunState>, Status> {
    let state = curvefleet_proto::v1::RunState::try_from(number)
        .map_err(|_| Status::invalid_argument(format!("{number} is not a run state")))?;
    Ok(message::filter(state))
}
