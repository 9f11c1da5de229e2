//! What a coordinator can be told on the command line and by environment variables.

use std::path::{Path, PathBuf};

use curvefleet_proto::limits::MAX_REQUESTS_PER_SECOND;
use curvefleet_proto::store::Store;

use crate::access::tls::Files;
use crate::ledger::postgres::DatabaseUrl;
use crate::ledger::{MAX_ATTEMPTS, Settings};

/// Where a coordinator listens unless told otherwise: this machine alone.
pub const LISTEN: &str = "127.0.0.1:7700";
/// Where artifacts lie unless told otherwise.
pub const STORE: &str = "./curvefleet-data";
/// How long a lease lasts without a heartbeat unless told otherwise, in seconds: longer than a network hiccup, short enough
/// that a dead worker's shards are not waited for.
pub const LEASE_SECONDS: u32 = 60;
/// The longest lease, in seconds: a day.
const LEASE_SECONDS_MAX: i64 = 86_400;

/// A coordinator's options.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Address and port to listen on; port 0 takes any that is free
    #[arg(long, env = "CURVEFLEET_LISTEN", default_value = LISTEN, value_name = "ADDRESS:PORT")]
    pub listen: String,
    /// Where artifacts lie: a folder, or s3://, gs:// or az://bucket/prefix
    #[arg(long, env = "CURVEFLEET_STORE", default_value = STORE, value_name = "URL")]
    pub store: String,
    /// The ledger's SQLite file, on a local disk [default: ledger.sqlite in the store's folder, or
    /// ./curvefleet-ledger.sqlite where the store is no folder]
    #[arg(long, env = "CURVEFLEET_LEDGER", value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// The ledger's PostgreSQL database, in place of a file: postgres://user:password@host/database; several coordinators
    /// may share it
    #[arg(long, env = "CURVEFLEET_DATABASE", hide_env_values = true, value_name = "URL", conflicts_with = "ledger")]
    pub database: Option<DatabaseUrl>,
    /// How long a shard stays with a worker that is not heard of
    #[arg(long, env = "CURVEFLEET_LEASE_SECONDS", default_value_t = LEASE_SECONDS, value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(1..=LEASE_SECONDS_MAX))]
    pub lease_seconds: u32,
    /// Failures held against a run before it is set aside
    #[arg(long, env = "CURVEFLEET_MAX_ATTEMPTS", default_value_t = MAX_ATTEMPTS, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub max_attempts: u32,
    /// The certificate by which clients and workers know the coordinator, in PEM form with those that vouch for it behind
    /// it (`curvefleet certs` makes one); with --tls-key it speaks TLS
    #[arg(long, env = "CURVEFLEET_TLS_CERTIFICATE", value_name = "FILE")]
    pub tls_certificate: Option<PathBuf>,
    /// The private key of that certificate
    #[arg(long, env = "CURVEFLEET_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Take connections only from clients and workers with a certificate that these vouch for (mutual TLS)
    #[arg(long, env = "CURVEFLEET_TLS_CLIENT_CA", value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
    /// Requests per second that one client (a token at an address) is answered; more are refused
    #[arg(long, env = "CURVEFLEET_REQUESTS_PER_SECOND", default_value_t = MAX_REQUESTS_PER_SECOND, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub requests_per_second: u32,
    /// Listen beyond this machine without TLS or without tokens: everyone who reaches the port may use the coordinator
    #[arg(long)]
    pub insecure: bool,
    /// Serves no one but who has the token that [`Running::access`](crate::Running::access) gives, which ends with the
    /// process. For a coordinator within a program of its own; not a flag for that reason.
    #[arg(skip)]
    pub private: bool,
    /// Ends all leases at the start. Only right where workers live in the coordinator's own process, so that none can
    /// have outlived it; not a flag for that reason.
    #[arg(skip)]
    pub expire_leases_at_start: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            listen: LISTEN.to_string(),
            store: STORE.to_string(),
            ledger: None,
            database: None,
            lease_seconds: LEASE_SECONDS,
            max_attempts: MAX_ATTEMPTS,
            tls_certificate: None,
            tls_key: None,
            tls_client_ca: None,
            requests_per_second: MAX_REQUESTS_PER_SECOND,
            insecure: false,
            private: false,
            expire_leases_at_start: false,
        }
    }
}

impl Options {
    /// What the ledger decides by.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            lease_ms: u64::from(self.lease_seconds) * 1_000,
            max_attempts: self.max_attempts,
            ..Settings::default()
        }
    }

    /// The files of TLS.
    pub(crate) fn tls(&self) -> Files<'_> {
        Files {
            certificate: self.tls_certificate.as_deref(),
            key: self.tls_key.as_deref(),
            client_authorities: self.tls_client_ca.as_deref(),
        }
    }

    /// The ledger's file.
    pub(crate) fn ledger_file(&self, store: &Store) -> PathBuf {
        ledger_file(self.ledger.as_deref(), store.url())
    }
}

/// The ledger's file where a coordinator is given this `--ledger` and this `--store`.
pub fn ledger_file(ledger: Option<&Path>, store: &str) -> PathBuf {
    match (ledger, store.split_once("://")) {
        (Some(file), _) => file.to_path_buf(),
        (None, None) => Path::new(store).join("ledger.sqlite"),
        (None, Some(("file", folder))) => Path::new(folder).join("ledger.sqlite"),
        (None, Some(_)) => PathBuf::from("./curvefleet-ledger.sqlite"),
    }
}
