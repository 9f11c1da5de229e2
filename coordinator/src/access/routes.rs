//! The one table of what each route needs. A request to any other path is refused before anything looks at it.

use crate::ledger::tokens::Role;

/// Whom a route is open to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Anyone, also without a token: what a load balancer asks.
    Nothing,
    /// A token of any role.
    AnyToken,
    /// A token of one of these roles.
    Roles(&'static [Role]),
}

/// One route.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The request's path.
    pub path: &'static str,
    /// Whom it is open to.
    pub needs: Needs,
    /// The largest message that it takes, in bytes; longer ones are refused before memory is found for them.
    pub max_message_bytes: u32,
}

/// A message with names, ids and numbers alone.
const SMALL: u32 = 64 << 10;
/// Many names or ids, or a study file; one that is a little too long is still told so by the service.
const MEDIUM: u32 = 4 << 20;
/// A commit with its logs.
const LARGE: u32 = curvefleet_proto::limits::MAX_MESSAGE_BYTES as u32;

/// Whoever looks at studies.
const LOOK: Needs = Needs::Roles(&[Role::Read, Role::Submit, Role::Admin]);
/// Whoever changes studies.
const CHANGE: Needs = Needs::Roles(&[Role::Submit, Role::Admin]);
/// Whoever looks after the fleet and its users.
const ADMIN: Needs = Needs::Roles(&[Role::Admin]);
/// Workers, and no one else: a commit says what a result is.
const WORK: Needs = Needs::Roles(&[Role::Worker]);

macro_rules! routes {
    ($($path:literal $needs:ident $max:ident,)*) => {
        /// All routes.
        pub const ROUTES: &[Route] = &[$(Route { path: $path, needs: $needs, max_message_bytes: $max },)*];
    };
}

const NOTHING: Needs = Needs::Nothing;
const ANY_TOKEN: Needs = Needs::AnyToken;

routes! {
    "/curvefleet.v1.StudyService/GetInfo" LOOK SMALL,
    "/curvefleet.v1.StudyService/SubmitStudy" CHANGE MEDIUM,
    "/curvefleet.v1.StudyService/CheckRuns" LOOK MEDIUM,
    "/curvefleet.v1.StudyService/ListStudies" LOOK SMALL,
    "/curvefleet.v1.StudyService/GetStudy" LOOK SMALL,
    "/curvefleet.v1.StudyService/WatchStudy" LOOK SMALL,
    "/curvefleet.v1.StudyService/CancelStudy" CHANGE SMALL,
    "/curvefleet.v1.StudyService/RetryStudy" CHANGE SMALL,
    "/curvefleet.v1.StudyService/RetryDamaged" CHANGE MEDIUM,
    "/curvefleet.v1.StudyService/PauseStudy" CHANGE SMALL,
    "/curvefleet.v1.StudyService/ResumeStudy" CHANGE SMALL,
    "/curvefleet.v1.StudyService/PrioritizeStudy" CHANGE SMALL,
    "/curvefleet.v1.StudyService/DrainWorker" ADMIN SMALL,
    "/curvefleet.v1.StudyService/UndrainWorker" ADMIN SMALL,
    "/curvefleet.v1.StudyService/Explain" LOOK SMALL,
    "/curvefleet.v1.StudyService/ListAudit" LOOK SMALL,
    "/curvefleet.v1.StudyService/ListRuns" LOOK SMALL,
    "/curvefleet.v1.StudyService/GetLogs" LOOK SMALL,
    "/curvefleet.v1.StudyService/ListWorkers" LOOK SMALL,
    "/curvefleet.v1.StudyService/WriteManifest" LOOK SMALL,
    "/curvefleet.v1.StudyService/ListMovedParts" LOOK SMALL,
    "/curvefleet.v1.TokenService/CreateToken" ADMIN SMALL,
    "/curvefleet.v1.TokenService/ListTokens" ADMIN SMALL,
    "/curvefleet.v1.TokenService/RevokeToken" ADMIN SMALL,
    "/curvefleet.v1.WorkerService/Register" WORK SMALL,
    "/curvefleet.v1.WorkerService/Lease" WORK MEDIUM,
    "/curvefleet.v1.WorkerService/Heartbeat" WORK MEDIUM,
    "/curvefleet.v1.WorkerService/Commit" WORK LARGE,
    "/curvefleet.v1.WorkerService/Fail" WORK SMALL,
    "/curvefleet.v1.WorkerService/Release" WORK MEDIUM,
    "/curvefleet.v1.WorkerService/Split" WORK SMALL,
    "/grpc.health.v1.Health/Check" NOTHING SMALL,
    "/grpc.health.v1.Health/Watch" ANY_TOKEN SMALL,
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo" ANY_TOKEN SMALL,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" ANY_TOKEN SMALL,
}

/// The route of a path.
pub fn route(path: &str) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.path == path)
}

impl Needs {
    /// Whether a token of this role opens it.
    pub fn are_met_by(self, role: Role) -> bool {
        match self {
            Needs::Nothing | Needs::AnyToken => true,
            Needs::Roles(roles) => roles.contains(&role),
        }
    }

    /// The roles that open it, for people.
    pub fn words(self) -> String {
        let roles = match self {
            Needs::Nothing | Needs::AnyToken => &Role::ALL,
            Needs::Roles(roles) => roles,
        };
        roles.iter().map(|role| format!("`{}`", role.as_str())).collect::<Vec<_>>().join(" or ")
    }
}
