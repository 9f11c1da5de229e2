//! From errors to gRPC statuses: the code says what a program can do, the message is the sentence for a person.

use tonic::Status;

use crate::ledger::Error;
use crate::manifest;

/// The status of a ledger's refusal.
pub(super) fn ledger(error: Error) -> Status {
    let message = error.to_string();
    match error {
        Error::NoStudy(_) | Error::NoRun(_) | Error::NoToken(_) | Error::UnknownWorker(_) | Error::Nothing(_) => {
            Status::not_found(message)
        }
        Error::OtherStudy(_) => Status::already_exists(message),
        Error::NoWorker(_) | Error::Superseded(_) => Status::failed_precondition(message),
        Error::TooManyWorkers => Status::out_of_range(message),
        Error::AmbiguousRun(_) | Error::Ambiguous(_) | Error::Invalid(_) => Status::invalid_argument(message),
        Error::Database(_) | Error::Unknown | Error::Closed => Status::unavailable(message),
    }
}

/// The status of a manifest that could not be written.
pub(super) fn manifest(error: manifest::Error) -> Status {
    match error {
        manifest::Error::Ledger(error) => ledger(error),
        manifest::Error::Store(_) => Status::unavailable(error.to_string()),
        manifest::Error::Encode(_) => Status::internal(error.to_string()),
    }
}

/// The status that ends a stream when the coordinator stops.
pub(super) fn stopping() -> Status {
    ledger(Error::Closed)
}
