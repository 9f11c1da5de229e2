//! What is wrong with a connection, in a sentence: certificates that do not fit, and one side with TLS where the other has none.

use std::error::Error as StdError;

use rustls::{AlertDescription, CertificateError, Error};
use tonic::{Code, Status};

/// How HTTP/2 says that a connection ended under a request. A coordinator that refuses a certificate ends it so, and its reason may come
/// too late to be read.
const CUT_SHORT: [&str; 4] = ["operation was canceled", "transport error", "broken pipe", "connection reset"];
/// What that means.
const CLOSED: &str = "the coordinator closed the connection before it answered: it is stopping, or it asks for a certificate of this \
                      program, which --client-certificate and --client-key name";

/// The sentence for an error that has to do with TLS; `None` for all others.
pub fn sentence(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<Error>() {
            return Some(of_tls(found));
        }
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && let Some(inner) = io.get_ref()
            && let Some(found) = sentence(inner)
        {
            return Some(found);
        }
        next = error.source();
    }
    // Below HTTP/2 an error is a text alone.
    let text = chain(error);
    let asked = [
        "CertificateRequired",
        "UnknownCA",
        "BadCertificate",
        "CertificateExpired",
        "CertificateUnknown",
        "DecryptError",
    ];
    let alert = asked.iter().find(|alert| text.contains(**alert))?;
    Some(of_refusal(alert))
}

/// A status that says what is wrong with TLS, in place of one that says less. Its code is one that no repetition mends.
pub fn clearer(status: Status) -> Status {
    match sentence(&status) {
        Some(sentence) => Status::new(Code::FailedPrecondition, sentence),
        None if is_cut_short(&status) => Status::new(status.code(), CLOSED),
        None => status,
    }
}

fn is_cut_short(status: &Status) -> bool {
    let text = chain(status).to_lowercase();
    // What the coordinator itself says has no source.
    status.source().is_some() && CUT_SHORT.iter().any(|words| text.contains(words)) && !text.contains("connect error")
}

/// An error and what it comes from, with colons between.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(error) = next {
        let text = error.to_string();
        if !texts.last().is_some_and(|last| last.contains(&text)) {
            texts.push(text);
        }
        next = error.source();
    }
    texts.join(": ")
}

fn of_tls(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => of_certificate(error),
        Error::InvalidMessage(_) => {
            "the coordinator speaks no TLS: its URL begins with http://, or it lacks its --tls-certificate".to_string()
        }
        Error::AlertReceived(
            alert @ (AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError),
        ) => of_refusal(&format!("{alert:?}")),
        other => format!("TLS with the coordinator fails: {other}"),
    }
}

fn of_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the coordinator's certificate has expired: give the coordinator a new one (or set this machine's clock)".to_string()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the coordinator's certificate is not valid yet: this machine's clock or that of the machine where the certificate was \
             made is wrong"
                .to_string()
        }
        CertificateError::NotValidForName => "the coordinator's certificate is not for this host: name the coordinator by a \
                                              name that its certificate has, or make it one with this name"
            .to_string(),
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "the coordinator's certificate is not for {}, it is for {}: name the coordinator as its certificate does, or make it a \
             certificate with this name",
            expected.to_str(),
            if presented.is_empty() { "no host".to_string() } else { presented.join(", ") }
        ),
        // Private authorities have one name, so that a foreign one shows in the signature.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => "the coordinator's certificate is vouched for by no one that this program trusts: name the \
                                            certificate of its authority with --ca"
            .to_string(),
        other => format!("the coordinator's certificate cannot be used: {other:?}"),
    }
}

fn of_refusal(alert: &str) -> String {
    let what = match alert {
        "CertificateRequired" => "the coordinator asks for a certificate of this program",
        "CertificateExpired" => "the coordinator says that this program's certificate has expired",
        _ => "the coordinator does not take this program's certificate",
    };
    format!("{what}: name one that its authority made with --client-certificate and --client-key")
}
