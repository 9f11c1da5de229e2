//! One sentence for the user and an exit code: 2 where asking for something else mends it, 1 for everything else.

use std::fmt;
use std::process::ExitCode;

/// Why a command ended without doing what it was asked.
#[derive(Debug)]
pub struct Failure {
    message: String,
    user: bool,
}

impl Failure {
    /// What the user asked for cannot be done; exit code 2.
    pub fn user(message: impl fmt::Display) -> Failure {
        Failure { message: one_line(message), user: true }
    }

    /// Something else went wrong; exit code 1.
    pub fn other(message: impl fmt::Display) -> Failure {
        Failure { message: one_line(message), user: false }
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(if self.user { 2 } else { 1 })
    }
}

/// Stores answer with pages of XML; a sentence has one line.
fn one_line(message: impl fmt::Display) -> String {
    message.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<curvefleet_proto::store::Error> for Failure {
    fn from(error: curvefleet_proto::store::Error) -> Failure {
        Failure::user(error)
    }
}

impl From<curvefleet_proto::access::Error> for Failure {
    fn from(error: curvefleet_proto::access::Error) -> Failure {
        Failure::user(error)
    }
}

impl From<curvefleet_coordinator::Error> for Failure {
    fn from(error: curvefleet_coordinator::Error) -> Failure {
        Failure { user: error.is_user_error(), message: one_line(error) }
    }
}

impl From<curvefleet_worker::Error> for Failure {
    fn from(error: curvefleet_worker::Error) -> Failure {
        Failure { user: error.is_user_error(), message: one_line(error) }
    }
}

impl From<curvefleet_analysis::Error> for Failure {
    fn from(error: curvefleet_analysis::Error) -> Failure {
        Failure { user: error.is_user_error(), message: one_line(error) }
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Failure {
        use tonic::Code;
        let status = curvefleet_proto::access::trouble::clearer(status);
        let user = matches!(
            status.code(),
            Code::NotFound
                | Code::AlreadyExists
                | Code::InvalidArgument
                | Code::FailedPrecondition
                | Code::OutOfRange
                | Code::PermissionDenied
                | Code::Unauthenticated
        );
        Failure { message: one_line(status.message()), user }
    }
}
