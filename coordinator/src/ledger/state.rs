//! The words in which the ledger keeps states.

/// Where a study stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StudyState {
    /// Some of its runs are pending.
    Active,
    /// Every run is done or was set aside.
    Finished,
    /// A person cancelled it.
    Cancelled,
    /// It cannot work; the reason is kept beside.
    Stopped,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunState {
    /// Waiting, or in training.
    Pending,
    /// Its curve is committed.
    Done,
    /// Set aside after too many failed attempts.
    Failed,
    /// Given up with its study.
    Cancelled,
}

/// Where a shard stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShardState {
    /// Waiting for a worker.
    Pending,
    /// Held by a worker.
    Leased,
    /// None of its runs is pending.
    Closed,
}

/// Who is to blame for a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The machine, the network or the store: not held against the run.
    Infrastructure,
    /// The run itself.
    Run,
    /// The study cannot work.
    Study,
}

impl StudyState {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            StudyState::Active => "active",
            StudyState::Finished => "finished",
            StudyState::Cancelled => "cancelled",
            StudyState::Stopped => "stopped",
        }
    }

    /// The state of that word.
    pub fn parse(word: &str) -> Option<StudyState> {
        [StudyState::Active, StudyState::Finished, StudyState::Cancelled, StudyState::Stopped]
            .into_iter()
            .find(|state| state.as_str() == word)
    }
}

impl RunState {
    /// The word in the database and in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Pending => "pending",
            RunState::Done => "done",
            RunState::Failed => "failed",
            RunState::Cancelled => "cancelled",
        }
    }

    /// The state of that word.
    pub fn parse(word: &str) -> Option<RunState> {
        [RunState::Pending, RunState::Done, RunState::Failed, RunState::Cancelled]
            .into_iter()
            .find(|state| state.as_str() == word)
    }
}

impl ShardState {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            ShardState::Pending => "pending",
            ShardState::Leased => "leased",
            ShardState::Closed => "closed",
        }
    }

    /// The state of that word.
    pub fn parse(word: &str) -> Option<ShardState> {
        [ShardState::Pending, ShardState::Leased, ShardState::Closed].into_iter().find(|state| state.as_str() == word)
    }
}

impl FailureKind {
    /// The outcome that an attempt is kept with.
    pub fn as_str(self) -> &'static str {
        match self {
            FailureKind::Infrastructure => "infrastructure",
            FailureKind::Run => "run",
            FailureKind::Study => "study",
        }
    }
}
