//! How a program reaches a coordinator: its URL, the certificates to trust, a certificate to show, and a token.
//!
//! - [`AccessOptions`]: what a person says on the command line, for every program that asks a coordinator
//! - [`Access`]: the same, read and checked
//! - [`bearer`]: the token that goes with every request
//! - [`trouble`]: what is wrong with a connection, in a sentence

pub mod bearer;
pub mod trouble;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use url::{Host, Url};

pub use bearer::{Bearer, TOKEN_VARIABLE};

/// What the URL of a coordinator looks like.
const EXAMPLE: &str = "it looks like http://127.0.0.1:7700 or https://host:7700";

/// How to reach a coordinator that has TLS or asks for tokens.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct AccessOptions {
    /// Certificates that vouch for a coordinator at https:// [default: those that the system trusts]
    #[arg(long, env = "CURVEFLEET_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Certificate to show to a coordinator that asks for one
    #[arg(long, env = "CURVEFLEET_CLIENT_CERTIFICATE", value_name = "FILE", requires = "client_key")]
    pub client_certificate: Option<PathBuf>,
    /// The private key of that certificate
    #[arg(long, env = "CURVEFLEET_CLIENT_KEY", value_name = "FILE", requires = "client_certificate")]
    pub client_key: Option<PathBuf>,
    /// File that holds the token, for a coordinator that asks for one; or put the token itself into the variable
    /// CURVEFLEET_TOKEN (there is no flag for it: others would see it)
    #[arg(long, env = "CURVEFLEET_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Send the token to other machines without TLS, too: everyone between can read and use it
    #[arg(long)]
    pub insecure: bool,
}

/// How to reach a coordinator, read and checked. Without anything said, this is how to reach one on this machine that asks for nothing.
#[derive(Debug, Clone, Default)]
pub struct Access {
    authorities: Option<Certificate>,
    identity: Option<Identity>,
    bearer: Bearer,
    insecure: bool,
}

/// Why a coordinator cannot be reached as asked. No error shows a token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("{what} {} cannot be read: {reason}", path.display())]
    File {
        /// What it is for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The token has characters that no token has, or none.
    #[error("{0} holds no token: one line that begins with cfl_ is expected, as `curvefleet token create` prints it")]
    NoToken(String),
    /// The URL is none.
    #[error("the coordinator's URL `{url}` cannot be used: {reason}; {EXAMPLE}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The URL holds a user or password, which may be a token.
    #[error(
        "the coordinator's URL holds a user name or a password, which logs and process lists would show; a token belongs into a file \
         that --token-file names, or into the variable {TOKEN_VARIABLE}; {EXAMPLE}"
    )]
    Credentials,
    /// The token would cross a network in the clear.
    #[error(
        "the coordinator's URL `{0}` has no TLS and leads to another machine, so that everyone between could read the token; \
         use https://, or an SSH tunnel, or say --insecure"
    )]
    InTheClear(String),
    /// The certificates do not fit together.
    #[error("the certificates for {url} cannot be used: {reason}")]
    Certificates {
        /// The coordinator's URL.
        url: String,
        /// What is wrong.
        reason: String,
    },
}

impl AccessOptions {
    /// Reads certificates and the token; `token` is the value of the variable [`TOKEN_VARIABLE`], which counts where no file is named.
    ///
    /// # Errors
    /// If a file cannot be read or does not hold what it should.
    pub fn open(&self, token: Option<String>) -> Result<Access, Error> {
        let authorities = self.ca.as_deref().map(authorities).transpose()?;
        let identity = match (&self.client_certificate, &self.client_key) {
            (Some(certificate), Some(key)) => Some(identity(certificate, key)?),
            _ => None,
        };
        let bearer = match (&self.token_file, token) {
            (Some(path), _) => Bearer::from_file(path)?,
            (None, Some(token)) => {
                Bearer::from_text(&token).ok_or_else(|| Error::NoToken(TOKEN_VARIABLE.to_string()))?
            }
            (None, None) => Bearer::default(),
        };
        Ok(Access { authorities, identity, bearer, insecure: self.insecure })
    }

    /// As [`AccessOptions::open`], with the environment of this process.
    ///
    /// # Errors
    /// As [`AccessOptions::open`].
    pub fn from_environment(&self) -> Result<Access, Error> {
        self.open(std::env::var(TOKEN_VARIABLE).ok())
    }
}

impl Access {
    /// Access with a token and nothing else, for a coordinator in the same process.
    pub fn with_token(token: &str) -> Access {
        Access { bearer: Bearer::from_text(token).unwrap_or_default(), ..Access::default() }
    }

    /// What puts the token on requests.
    pub fn bearer(&self) -> Bearer {
        self.bearer.clone()
    }

    /// Where a coordinator's URL leads, with the certificates that it takes.
    ///
    /// # Errors
    /// If the URL is none, the certificates cannot be used, or the token would cross a network in the clear.
    pub fn endpoint(&self, text: &str) -> Result<Endpoint, Error> {
        let url = self.check(text)?;
        let refuse = |error: tonic::transport::Error| Error::Certificates {
            url: text.to_string(),
            reason: trouble::chain(&error),
        };
        let endpoint = Endpoint::from_shared(text.to_string())
            .map_err(|error| Error::Url { url: text.to_string(), reason: trouble::chain(&error) })?;
        if url.scheme() == "http" {
            return Ok(endpoint);
        }
        let mut tls = match &self.authorities {
            Some(authorities) => ClientTlsConfig::new().ca_certificate(authorities.clone()),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let Some(identity) = &self.identity {
            tls = tls.identity(identity.clone());
        }
        endpoint.tls_config(tls).map_err(refuse)
    }

    fn check(&self, text: &str) -> Result<Url, Error> {
        let refuse = |reason: &str| Error::Url { url: text.to_string(), reason: reason.to_string() };
        if text.contains('@') {
            return Err(Error::Credentials);
        }
        let url = Url::parse(text).map_err(|error| refuse(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse("it begins neither with http:// nor with https://"));
        }
        if url.query().is_some() || url.fragment().is_some() || !matches!(url.path(), "" | "/") {
            // What follows may be a token, so it is not shown.
            let reason = "something follows host and port".to_string();
            return Err(Error::Url { url: url.origin().ascii_serialization(), reason });
        }
        if url.scheme() == "http" && self.bearer.is_there() && !self.insecure && !is_this_machine(&url) {
            return Err(Error::InTheClear(text.to_string()));
        }
        Ok(url)
    }
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).to_canonical().is_loopback(),
        None => false,
    }
}

fn authorities(path: &Path) -> Result<Certificate, Error> {
    let pem = read("the file of certificates to trust", path)?;
    certificates("the file of certificates to trust", path, &pem)?;
    Ok(Certificate::from_pem(pem))
}

fn identity(certificate: &Path, key: &Path) -> Result<Identity, Error> {
    let pem = read("the certificate", certificate)?;
    certificates("the certificate", certificate, &pem)?;
    let key_pem = read("the private key", key)?;
    PrivateKeyDer::from_pem_slice(&key_pem).map_err(|error| wrong("the private key", key, error.to_string()))?;
    warn_if_open_to_others("the private key", key);
    Ok(Identity::from_pem(pem, key_pem))
}

/// The certificates in a PEM file, at least one.
///
/// # Errors
/// If there is none, or one is damaged.
pub fn certificates(what: &'static str, path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| wrong(what, path, error.to_string()))?;
    if found.is_empty() {
        return Err(wrong(what, path, "it holds no certificate in PEM form".to_string()));
    }
    Ok(found)
}

/// A file's bytes.
///
/// # Errors
/// With a sentence that names the file.
pub fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| wrong(what, path, error.to_string()))
}

fn wrong(what: &'static str, path: &Path, reason: String) -> Error {
    Error::File { what, path: path.to_path_buf(), reason }
}

/// Says so if other users of this machine may read a file that is secret.
pub fn warn_if_open_to_others(what: &str, path: &Path) {
    use std::os::unix::fs::MetadataExt as _;
    let others_may_read = std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.mode() & 0o044 != 0);
    if others_may_read {
        tracing::warn!(
            "{what} {} can be read by other users of this machine; close it with: chmod 600 {}",
            path.display(),
            path.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(access: &Access, url: &str) -> String {
        access.endpoint(url).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn urls_that_cannot_be_used_are_refused() {
        let open = Access::default();
        for url in ["http://127.0.0.1:7700", "http://host:7700/", "http://[::1]:7700"] {
            assert_eq!(refusal(&open, url), "", "{url}");
        }
        for url in ["", "host:7700", "ftp://host:7700", "http://", "https://", "/tmp/socket"] {
            assert!(refusal(&open, url).contains(&format!("`{url}`")), "{url}: {}", refusal(&open, url));
        }
    }

    #[test]
    fn a_token_in_a_url_is_refused_and_not_shown() {
        let open = Access::default();
        for url in [
            "https://cfl_secret@host:7700",
            "http://user:cfl_secret@127.0.0.1",
            "https://host:7700/?token=cfl_secret",
            "http://host:7700/cfl_secret",
            "http://host:7700/#cfl_secret",
            "cfl_secret@host",
        ] {
            let refusal = refusal(&open, url);
            assert!(!refusal.is_empty() && !refusal.contains("cfl_secret"), "{url}: {refusal}");
        }
    }

    #[test]
    fn a_token_does_not_leave_the_machine_in_the_clear() {
        let mut access = Access::with_token("cfl_0123_4567");
        for url in
            ["http://127.0.0.1:7700", "http://localhost:7700", "http://[::1]:7700", "http://[::ffff:127.0.0.1]:1"]
        {
            assert_eq!(refusal(&access, url), "", "{url}");
        }
        for url in ["http://10.0.0.1:7700", "http://host:7700", "http://localhost.example:7700"] {
            assert!(refusal(&access, url).contains("--insecure"), "{url}");
        }
        access.insecure = true;
        assert_eq!(refusal(&access, "http://host:7700"), "");
    }

    #[test]
    fn no_token_is_shown_by_its_holder() {
        let access = Access::with_token("cfl_0123_4567");
        assert!(access.bearer().is_there());
        assert!(!format!("{access:?}").contains("4567"));
    }
}
