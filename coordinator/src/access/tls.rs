//! The coordinator's certificate and key, and whose certificates it asks for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use curvefleet_proto::access::{Error as FileError, certificates, read, warn_if_open_to_others};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

/// The protocol that both sides agree on within TLS.
const ALPN_HTTP2: &[u8] = b"h2";

/// Why there is no TLS although it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not what it should be.
    #[error(transparent)]
    File(#[from] FileError),
    /// One was named without the other.
    #[error(
        "TLS takes a certificate and its private key: give both --tls-certificate and --tls-key (`curvefleet certs` makes them)"
    )]
    Half,
    /// Certificates of clients are asked for without TLS.
    #[error(
        "--tls-client-ca asks clients for certificates, which takes TLS: give --tls-certificate and --tls-key, too"
    )]
    ClientsWithoutTls,
    /// Certificate and key do not fit together, or are of a kind that is not known.
    #[error("the certificate {} and the key {} cannot be used: {reason}", certificate.display(), key.display())]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What the options name.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// The coordinator's certificate.
    pub certificate: Option<&'a Path>,
    /// Its private key.
    pub key: Option<&'a Path>,
    /// The certificates that vouch for clients, where those are asked for theirs.
    pub client_authorities: Option<&'a Path>,
}

/// What makes connections TLS connections; `None` where none is asked for.
pub(crate) fn acceptor(files: Files<'_>) -> Result<Option<TlsAcceptor>, TlsError> {
    let (certificate, key) = match (files.certificate, files.key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) if files.client_authorities.is_some() => return Err(TlsError::ClientsWithoutTls),
        (None, None) => return Ok(None),
        _ => return Err(TlsError::Half),
    };
    let unusable =
        |reason: String| TlsError::Unusable { certificate: certificate.to_path_buf(), key: key.to_path_buf(), reason };
    let chain = certificates("the certificate", certificate, &read("the certificate", certificate)?)?;
    let secret = PrivateKeyDer::from_pem_slice(&read("the private key", key)?).map_err(|error| FileError::File {
        what: "the private key",
        path: key.to_path_buf(),
        reason: error.to_string(),
    })?;
    warn_if_open_to_others("the private key", key);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(error.to_string()))?;
    let builder = match files.client_authorities {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let what = "the file of certificates that clients are checked by";
            let wrong = |reason: String| FileError::File { what, path: path.to_path_buf(), reason };
            let mut roots = RootCertStore::empty();
            for authority in certificates(what, path, &read(what, path)?)? {
                roots.add(authority).map_err(|error| wrong(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| wrong(error.to_string()))?)
        }
    };
    let mut config = builder.with_single_cert(chain, secret).map_err(|error| unusable(error.to_string()))?;
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}
