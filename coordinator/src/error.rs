//! Why a coordinator does not start, or ended.

use std::net::SocketAddr;

use curvefleet_proto::store;

use crate::access::tls::TlsError;
use crate::ledger::{postgres, sqlite};

/// Why a coordinator does not start, or ended. Each is a sentence for the user.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address to listen on is none.
    #[error("`{listen}` is not an address to listen on; give a host and a port such as 127.0.0.1:7700: {reason}")]
    Listen {
        /// What was given.
        listen: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The address can be reached from other machines, and what crosses the network would be open to all.
    #[error(
        "{address} can be reached from other machines, and this coordinator has no TLS; give it --tls-certificate and --tls-key \
         (`curvefleet certs` makes them), listen on 127.0.0.1, or say --insecure if everyone who can reach it may use it"
    )]
    NoTls {
        /// The address.
        address: SocketAddr,
    },
    /// The address can be reached from other machines, and nobody would be asked who they are.
    #[error(
        "{address} can be reached from other machines, and the ledger {ledger} has no token; make the first with `curvefleet token \
         create --direct --role admin --name NAME` and this coordinator's --store, --ledger or --database, listen on 127.0.0.1, or \
         say --insecure if everyone who can reach it may use it"
    )]
    NoTokens {
        /// The address.
        address: SocketAddr,
        /// The ledger's file or database.
        ledger: String,
    },
    /// TLS cannot be had as asked.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The tokens cannot be read.
    #[error("the tokens cannot be read: {0}")]
    Tokens(crate::ledger::Error),
    /// The address is taken or not allowed.
    #[error("cannot listen on {address}: {source}; choose another address with --listen")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The ledger's file cannot be opened.
    #[error(transparent)]
    Ledger(#[from] sqlite::OpenError),
    /// The ledger's database cannot be used.
    #[error(transparent)]
    Database(#[from] postgres::OpenError),
    /// The system refuses a thread, a signal handler or the like.
    #[error("the system refused {what}: {source}")]
    System {
        /// What was asked of it.
        what: &'static str,
        /// What it says.
        source: std::io::Error,
    },
    /// The gRPC server ended by itself.
    #[error("the gRPC server ended: {0}")]
    Server(String),
}

impl Error {
    /// Whether the user can mend it by asking for something else: exit code 2, otherwise 1.
    pub fn is_user_error(&self) -> bool {
        match self {
            Error::Listen { .. }
            | Error::NoTls { .. }
            | Error::NoTokens { .. }
            | Error::Tls(_)
            | Error::Bind { .. }
            | Error::Store(_) => true,
            Error::Ledger(error) => !matches!(error, sqlite::OpenError::Database { .. }),
            Error::Database(error) => {
                !matches!(error, postgres::OpenError::Database { .. } | postgres::OpenError::System(_))
            }
            Error::System { .. } | Error::Tokens(_) | Error::Server(_) => false,
        }
    }
}
