//! `curvefleet certs`: a private authority with the certificates that it vouches for.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use super::token::new_secret_file;
use crate::failure::Failure;
use crate::output::say;

/// The names that every coordinator's certificate has beside those asked for: what it is called on its own machine.
const ON_ITS_MACHINE: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// What the authority is called.
const AUTHORITY: &str = "curvefleet private authority";
/// How long the authority is valid: longer than any fleet is looked after by the same person.
const AUTHORITY_DAYS: i64 = 3_650;
/// How long before now certificates begin, for clocks that are behind.
const BEGAN: Duration = Duration::hours(1);

/// Make certificates for TLS.
#[derive(Debug, Args)]
pub struct Certs {
    /// A name or address by which the coordinator is reached, for its certificate server.crt; may be given several times
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// Make a certificate for clients and workers of a coordinator that asks for one, in NAME.crt; may be given several times
    #[arg(long, value_name = "NAME")]
    client: Vec<String>,
    /// The folder: an authority that is there (ca.crt and ca.key) is used, else it is made
    #[arg(long, value_name = "FOLDER", default_value = "certs")]
    folder: PathBuf,
    /// How long the certificates are valid, in days
    #[arg(long, value_name = "DAYS", default_value_t = 398, value_parser = clap::value_parser!(i64).range(1..=AUTHORITY_DAYS))]
    days: i64,
}

/// A certificate and its key, as they will be written.
struct Pair {
    certificate: (PathBuf, String),
    key: (PathBuf, String),
}

impl Certs {
    /// Makes them.
    ///
    /// # Errors
    /// If nothing is asked for, a name is none, or a file is there already or cannot be written; then nothing is left behind.
    pub fn execute(self) -> Result<(), Failure> {
        if self.host.is_empty() && self.client.is_empty() {
            return Err(Failure::user(
                "give the coordinator's name or address with --host, or a client's name with --client",
            ));
        }
        self.client.iter().try_for_each(|name| check_client(name))?;
        let (issuer, mut pairs) = self.authority()?;
        if !self.host.is_empty() {
            pairs.push(self.server(&issuer)?);
        }
        for name in &self.client {
            pairs.push(self.one_client(&issuer, name)?);
        }
        self.write(&pairs)?;
        for Pair { certificate, key } in &pairs {
            say!("{} and its private key {}", certificate.0.display(), key.0.display());
        }
        say!(
            "ca.crt goes to all who ask the coordinator (--ca); the keys to no one else than their holders, and ca.key to no one"
        );
        Ok(())
    }

    /// The authority in the folder, or a new one, which is then the first pair to be written.
    fn authority(&self) -> Result<(Issuer<'static, KeyPair>, Vec<Pair>), Failure> {
        let (certificate, key) = (self.folder.join("ca.crt"), self.folder.join("ca.key"));
        let params = authority_params();
        match (certificate.exists(), key.exists()) {
            (true, true) => {
                let wrong = |reason: String| Failure::user(format!("{} cannot be used: {reason}", key.display()));
                let pem = std::fs::read_to_string(&key).map_err(|error| wrong(error.to_string()))?;
                let pair = KeyPair::from_pem(&pem).map_err(|error| wrong(error.to_string()))?;
                Ok((Issuer::new(params, pair), Vec::new()))
            }
            (false, false) => {
                let pair = KeyPair::generate().map_err(unmade)?;
                let signed = params.self_signed(&pair).map_err(unmade)?;
                let made = Pair { certificate: (certificate, signed.pem()), key: (key, pair.serialize_pem()) };
                Ok((Issuer::new(params, pair), vec![made]))
            }
            (has_certificate, _) => {
                let (there, absent) = if has_certificate { (certificate, key) } else { (key, certificate) };
                Err(Failure::user(format!(
                    "{} is there and {} is not: an authority is both; bring the other back, or choose another --folder",
                    there.display(),
                    absent.display()
                )))
            }
        }
    }

    fn server(&self, issuer: &Issuer<'static, KeyPair>) -> Result<Pair, Failure> {
        let mut names = self.host.clone();
        names.extend(
            ON_ITS_MACHINE
                .iter()
                .filter(|name| !self.host.iter().any(|host| host == *name))
                .map(|name| name.to_string()),
        );
        let wrong = |error: rcgen::Error| Failure::user(format!("--host: a name or an address is expected: {error}"));
        if let Some(host) = self.host.iter().find(|host| !is_host(host)) {
            return Err(Failure::user(format!(
                "--host `{host}` is no host's name or address; give one such as coordinator.example or 10.0.0.5, without port"
            )));
        }
        let mut params = CertificateParams::new(names).map_err(wrong)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.pair(issuer, params, &self.host[0], "server")
    }

    fn one_client(&self, issuer: &Issuer<'static, KeyPair>, name: &str) -> Result<Pair, Failure> {
        let mut params = CertificateParams::new(Vec::new()).map_err(unmade)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.pair(issuer, params, name, name)
    }

    fn pair(
        &self,
        issuer: &Issuer<'static, KeyPair>,
        mut params: CertificateParams,
        name: &str,
        file: &str,
    ) -> Result<Pair, Failure> {
        params.distinguished_name = named(name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = (now() - BEGAN, now() + Duration::days(self.days));
        let key = KeyPair::generate().map_err(unmade)?;
        let signed = params.signed_by(&key, issuer).map_err(unmade)?;
        let path = |ending: &str| self.folder.join(format!("{file}.{ending}"));
        Ok(Pair { certificate: (path("crt"), signed.pem()), key: (path("key"), key.serialize_pem()) })
    }

    /// Writes all of them or none.
    fn write(&self, pairs: &[Pair]) -> Result<(), Failure> {
        let unwritable = |path: &Path, error: std::io::Error| {
            Failure::user(format!("{} cannot be written: {error}", path.display()))
        };
        std::fs::create_dir_all(&self.folder).map_err(|error| unwritable(&self.folder, error))?;
        let mut made: Vec<&Path> = Vec::new();
        let write = |(path, text): &'_ (PathBuf, String), is_secret: bool| {
            let mut file = if is_secret {
                new_secret_file(path)
            } else {
                std::fs::File::create_new(path).map_err(|error| match error.kind() {
                    std::io::ErrorKind::AlreadyExists => Failure::user(format!(
                        "{} is there already, and nothing is overwritten; move it away, or choose another --folder",
                        path.display()
                    )),
                    _ => unwritable(path, error),
                })
            }?;
            let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
            written.map_err(|error| unwritable(path, error))
        };
        for Pair { certificate, key } in pairs {
            for (file, is_secret) in [(key, true), (certificate, false)] {
                let was_there = file.0.exists();
                if let Err(failure) = write(file, is_secret) {
                    if !was_there {
                        made.push(&file.0);
                    }
                    // What cannot be removed is seen by whoever looks; the first error says more.
                    made.iter().for_each(|path| drop(std::fs::remove_file(path)));
                    return Err(failure);
                }
                made.push(&file.0);
            }
        }
        Ok(())
    }
}

/// The authority's parameters. They are the same each time, so that its key is all that must be kept.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(AUTHORITY);
    // It vouches for certificates, not for other authorities.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (now() - BEGAN, now() + Duration::days(AUTHORITY_DAYS));
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}

#[allow(clippy::disallowed_methods)] // Certificates begin and end at times.
fn now() -> OffsetDateTime {
    SystemTime::now().into()
}

fn is_host(text: &str) -> bool {
    let is_name = |text: &str| {
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        text.len() <= 253 && text.strip_prefix("*.").unwrap_or(text).split('.').all(label)
    };
    text.parse::<std::net::IpAddr>().is_ok() || is_name(text)
}

/// A client's name is a file's, too.
fn check_client(name: &str) -> Result<(), Failure> {
    let sound = !name.is_empty()
        && name.len() <= 60
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if sound && !["ca", "server"].contains(&name) {
        return Ok(());
    }
    Err(Failure::user(format!(
        "--client `{name}` cannot be used: give letters, digits, dashes and underscores, and neither `ca` nor `server`"
    )))
}

fn unmade(error: rcgen::Error) -> Failure {
    Failure::other(format!("a certificate cannot be made: {error}"))
}
