//! The list of all operations: each is a request type with an answer type, a variant of [`Request`] and one of [`Reply`].

use super::sql::Context;
use super::{
    Error, audit, cancel, check, commit, compact, drain, enter, expire, explain, fail, heartbeat, lease, logs, lose,
    manifest, pause, register, release, retry, runs, split, study, submit, tokens, workers,
};

/// A request with the answer that belongs to it.
pub trait Operation: Into<Request> {
    /// What a request that was not refused is answered.
    type Answer: Send + 'static;

    /// The answer in a reply; `None` if the reply belongs to another operation.
    fn answer(reply: Reply) -> Option<Self::Answer>;
}

/// Carries an operation out on a database.
pub(super) trait Apply: Operation {
    /// Does what is asked, or refuses and leaves it to the caller to undo what was written.
    fn apply(&self, context: &mut Context<'_>) -> Result<Self::Answer, Error>;
}

macro_rules! operations {
    ($($name:ident: $request:ty => $answer:ty,)*) => {
        /// Any request to the ledger.
        #[derive(Debug, Clone)]
        pub enum Request {
            $(#[doc = concat!("See [`", stringify!($request), "`].")] $name($request),)*
        }

        /// Any answer of the ledger.
        #[derive(Debug, Clone)]
        pub enum Reply {
            $(#[doc = concat!("Answers [`", stringify!($request), "`].")] $name($answer),)*
        }

        impl Request {
            pub(super) fn apply(&self, context: &mut Context<'_>) -> Result<Reply, Error> {
                match self {
                    $(Request::$name(request) => request.apply(context).map(Reply::$name),)*
                }
            }
        }

        $(
            impl From<$request> for Request {
                fn from(request: $request) -> Request {
                    Request::$name(request)
                }
            }

            impl Operation for $request {
                type Answer = $answer;

                fn answer(reply: Reply) -> Option<$answer> {
                    match reply {
                        Reply::$name(answer) => Some(answer),
                        _ => None,
                    }
                }
            }
        )*
    };
}

operations! {
    Submit: submit::Submit => submit::Submitted,
    Enter: enter::Enter => enter::Entered,
    ListUnentered: enter::ListUnentered => Vec<enter::Unentered>,
    CheckRuns: check::CheckRuns => Vec<String>,
    ListStudies: study::ListStudies => Vec<study::Status>,
    GetStudy: study::GetStudy => study::Study,
    StudyStatus: study::StudyStatus => study::Status,
    Cancel: cancel::Cancel => study::Status,
    Retry: retry::Retry => retry::Retried,
    Pause: pause::Pause => study::Status,
    Prioritize: pause::Prioritize => study::Status,
    Drain: drain::Drain => workers::Worker,
    ListAudit: audit::ListAudit => Vec<audit::Entry>,
    CommittedParts: lose::CommittedParts => Vec<lose::CommittedPart>,
    Lose: lose::Lose => lose::Lost,
    ListRuns: runs::ListRuns => runs::Page,
    Logs: logs::Logs => logs::Attempts,
    Explain: explain::Explain => explain::Explained,
    Register: register::Register => (),
    ListWorkers: workers::ListWorkers => Vec<workers::Worker>,
    Lease: lease::Lease => lease::Leased,
    Heartbeat: heartbeat::Heartbeat => heartbeat::Heard,
    Commit: commit::Commit => bool,
    Fail: fail::Fail => bool,
    Release: release::Release => u32,
    Split: split::Split => bool,
    Expire: expire::Expire => u64,
    StaleManifests: manifest::StaleManifests => Vec<manifest::Stale>,
    ManifestPage: manifest::ReadPage => manifest::Page,
    ManifestClaim: manifest::Claim => Option<u64>,
    ManifestAbandon: manifest::Abandon => (),
    ManifestWritten: manifest::Written => bool,
    PlanCompaction: compact::PlanCompaction => Option<compact::Plan>,
    EndCompaction: compact::EndCompaction => u64,
    ListMoved: compact::ListMoved => Vec<compact::Moved>,
    MakeToken: tokens::MakeToken => tokens::Token,
    ListTokens: tokens::ListTokens => tokens::Tokens,
    RevokeToken: tokens::RevokeToken => tokens::Token,
}

impl Request {
    /// Whether a worker loses its leases if this waits for long.
    pub(super) fn is_sign_of_life(&self) -> bool {
        matches!(self, Request::Heartbeat(_) | Request::Register(_))
    }

    /// How many runs it changes, about: what it costs.
    pub(super) fn runs(&self) -> usize {
        match self {
            Request::Commit(commit) => commit.runs.len(),
            Request::EndCompaction(end) => end.made.as_ref().map_or(1, |made| made.sources.len()),
            Request::Submit(_) | Request::Enter(_) => enter::RUNS_AT_ONCE as usize,
            _ => 1,
        }
    }

    /// Whether it changes nothing, so that a database with several coordinators need not let it wait for others.
    pub(super) fn is_read(&self) -> bool {
        match self {
            Request::CheckRuns(_)
            | Request::ListUnentered(_)
            | Request::ListStudies(_)
            | Request::GetStudy(_)
            | Request::StudyStatus(_)
            | Request::ListRuns(_)
            | Request::CommittedParts(_)
            | Request::Logs(_)
            | Request::Explain(_)
            | Request::ListWorkers(_)
            | Request::ListAudit(_)
            | Request::StaleManifests(_)
            | Request::ListTokens(_)
            | Request::ListMoved(_)
            | Request::ManifestPage(_) => true,
            Request::Submit(_)
            | Request::Enter(_)
            | Request::Cancel(_)
            | Request::Retry(_)
            | Request::Pause(_)
            | Request::Prioritize(_)
            | Request::Drain(_)
            | Request::Lose(_)
            | Request::Register(_)
            | Request::Lease(_)
            | Request::Heartbeat(_)
            | Request::Commit(_)
            | Request::Fail(_)
            | Request::Release(_)
            | Request::Split(_)
            | Request::Expire(_)
            | Request::ManifestClaim(_)
            | Request::ManifestAbandon(_)
            | Request::PlanCompaction(_)
            | Request::EndCompaction(_)
            | Request::MakeToken(_)
            | Request::RevokeToken(_)
            | Request::ManifestWritten(_) => false,
        }
    }
}

impl Reply {
    /// Whether what was done can change what a study's status says.
    pub fn changes_studies(&self) -> bool {
        match self {
            Reply::Lease(leased) => !leased.leases.is_empty(),
            Reply::Expire(expired) => *expired > 0,
            Reply::Release(released) => *released > 0,
            Reply::EndCompaction(moved) => *moved > 0,
            Reply::Commit(accepted) | Reply::Fail(accepted) | Reply::Split(accepted) => *accepted,
            Reply::Submit(_)
            | Reply::Enter(_)
            | Reply::Cancel(_)
            | Reply::Retry(_)
            | Reply::Pause(_)
            | Reply::Prioritize(_)
            | Reply::Lose(_)
            | Reply::ManifestWritten(_) => true,
            Reply::CheckRuns(_)
            | Reply::ListUnentered(_)
            | Reply::ListStudies(_)
            | Reply::GetStudy(_)
            | Reply::StudyStatus(_)
            | Reply::ListRuns(_)
            | Reply::CommittedParts(_)
            | Reply::Logs(_)
            | Reply::Explain(_)
            | Reply::Register(())
            | Reply::ListWorkers(_)
            | Reply::ListAudit(_)
            | Reply::Drain(_)
            | Reply::Heartbeat(_)
            | Reply::ManifestClaim(_)
            | Reply::ManifestAbandon(())
            | Reply::StaleManifests(_)
            | Reply::PlanCompaction(_)
            | Reply::ListMoved(_)
            | Reply::MakeToken(_)
            | Reply::ListTokens(_)
            | Reply::RevokeToken(_)
            | Reply::ManifestPage(_) => false,
        }
    }
}
