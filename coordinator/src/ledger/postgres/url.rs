//! The database's URL, whose password is never shown.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::open::OpenError;
use super::tls;

/// How long one address may take to answer.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection may be silent before it is probed, how long between probes, and how many may stay unanswered: a server that
/// is gone without a word is noticed after some ten seconds.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(4), Duration::from_secs(2), 3);

type TlsStream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// A URL as the user gave it. It may hold a password, so it is shown nowhere.
#[derive(Clone)]
pub struct DatabaseUrl(String);

impl FromStr for DatabaseUrl {
    type Err = Infallible;

    /// Takes anything: a refusal here would show what it refuses. [`PostgresLedger::open`](super::PostgresLedger::open) checks.
    fn from_str(url: &str) -> Result<DatabaseUrl, Infallible> {
        Ok(DatabaseUrl(url.to_string()))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DatabaseUrl(…)")
    }
}

/// How much of TLS a URL asks for: the words of PostgreSQL's own clients, with their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// No TLS.
    Disable,
    /// TLS where the server has it.
    Prefer,
    /// TLS, with any certificate unless there are some to trust.
    Require,
    /// TLS with a certificate that is trusted, for whatever host.
    VerifyCa,
    /// TLS with a certificate that is trusted for this host.
    VerifyFull,
}

impl Mode {
    const ALL: [(&'static str, Mode); 5] = [
        ("disable", Mode::Disable),
        ("prefer", Mode::Prefer),
        ("require", Mode::Require),
        ("verify-ca", Mode::VerifyCa),
        ("verify-full", Mode::VerifyFull),
    ];
}

/// Where to connect, and how.
pub(super) struct Target {
    config: Config,
    tls: MakeRustlsConnect,
}

impl DatabaseUrl {
    /// What the URL says.
    pub(super) fn target(&self) -> Result<Target, OpenError> {
        let refuse = |reason: String| OpenError::Url { reason };
        if !["postgres://", "postgresql://"].iter().any(|scheme| self.0.starts_with(scheme)) {
            return Err(refuse("it begins neither with postgres:// nor with postgresql://".to_string()));
        }
        let (plain, mode, roots) = self.split().map_err(refuse)?;
        let mut config = Config::from_str(&plain).map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            refuse(format!("{error}{}", cause.unwrap_or_default()))
        })?;
        check_hosts(&config).map_err(refuse)?;
        let (idle, interval, retries) = KEEPALIVE;
        config.keepalives_idle(idle).keepalives_interval(interval).keepalives_retries(retries);
        config.tcp_user_timeout(idle + interval * retries);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_WITHIN);
        }
        if config.get_application_name().is_none() {
            config.application_name("curvefleet-coordinator");
        }
        config.ssl_mode(match mode {
            Mode::Disable => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => SslMode::Require,
        });
        Ok(Target { tls: tls::connector(mode, roots)?, config })
    }

    /// The URL without what concerns certificates, and that.
    fn split(&self) -> Result<(String, Mode, Option<PathBuf>), String> {
        let (place, query) = self.0.split_once('?').unwrap_or((&self.0, ""));
        let (mut mode, mut roots, mut rest) = (Mode::Prefer, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let value = pair.split_once('=').map_or("", |(_, value)| value);
            match pair.split('=').next() {
                Some("sslmode") => {
                    let known = Mode::ALL.iter().find(|(word, _)| *word == value);
                    let words = Mode::ALL.map(|(word, _)| word).join(", ");
                    mode = known.ok_or_else(|| format!("its sslmode is none of {words}"))?.1;
                }
                Some("sslrootcert") => {
                    let decoded = url::form_urlencoded::parse(pair.as_bytes()).next();
                    roots = decoded.map(|(_, path)| PathBuf::from(path.into_owned()));
                }
                _ => rest.push(pair),
            }
        }
        let plain = if rest.is_empty() { place.to_string() } else { format!("{place}?{}", rest.join("&")) };
        Ok((plain, mode, roots))
    }
}

/// Refuses what is a mistyped password rather than a host, before it is shown as one.
fn check_hosts(config: &Config) -> Result<(), String> {
    let odd = |host: &Host| matches!(host, Host::Tcp(name) if name.contains(['@', ':']) && !is_address(name));
    if config.get_hosts().iter().any(odd) {
        return Err(
            "its host has characters that no host has; those of a password are percent-encoded, `@` as %40".to_string()
        );
    }
    if config.get_hosts().is_empty() {
        return Err("it names no host; a Unix socket is given as ?host=/its/folder".to_string());
    }
    Ok(())
}

fn is_address(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok()
}

impl Target {
    pub async fn connect(&self) -> Result<(Client, Connection<Socket, TlsStream>), tokio_postgres::Error> {
        self.config.connect(self.tls.clone()).await
    }
}

impl fmt::Display for Target {
    /// User, hosts and database.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self
            .config
            .get_hosts()
            .iter()
            .enumerate()
            .map(|(index, host)| {
                let ports = self.config.get_ports();
                let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
                match host {
                    Host::Tcp(name) => format!("{name}:{port}"),
                    Host::Unix(folder) => format!("{}:{port}", folder.display()),
                }
            })
            .collect();
        let user = self.config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
        let database = self.config.get_dbname().or(self.config.get_user()).unwrap_or_default();
        write!(formatter, "postgres://{user}{}/{database}", hosts.join(","))
    }
}
