//! What an error of a store means: stores answer with XML, status codes and system errors, a person needs a sentence.
//!
//! Codes of S3 are those of AWS (Amazon S3 API Reference, "Error responses"), which compatible servers use too.

use std::error::Error;
use std::io::ErrorKind;

use object_store::client::{HttpError, HttpErrorKind};

/// What is wrong with a store, as far as its error tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing answers at the endpoint.
    Unreachable,
    /// The endpoint answers too slowly or not to the end.
    Slow,
    /// There are no keys.
    NoCredentials,
    /// The keys are unknown, wrong or expired.
    Credentials,
    /// This machine's clock and the store's are too far apart for a signature.
    Clock,
    /// There is no such bucket or container.
    NoBucket,
    /// The bucket lies in another region.
    Region,
    /// The store knows who asks, and does not allow it; or a folder does not.
    Denied,
    /// The file system can be read alone.
    ReadOnly,
    /// There is no room left.
    Full,
    /// The store asks to be asked less.
    Busy,
    /// There is no such object.
    NoObject,
    /// Anything else.
    Other,
}

/// What S3's error codes mean.
const CODES: [(&str, Trouble); 19] = [
    ("InvalidAccessKeyId", Trouble::Credentials),
    ("SignatureDoesNotMatch", Trouble::Credentials),
    ("NotSignedUp", Trouble::Credentials),
    ("InvalidToken", Trouble::Credentials),
    ("ExpiredToken", Trouble::Credentials),
    ("TokenRefreshRequired", Trouble::Credentials),
    ("AuthorizationHeaderMalformed", Trouble::Region),
    ("RequestTimeTooSkewed", Trouble::Clock),
    ("RequestExpired", Trouble::Clock),
    ("NoSuchBucket", Trouble::NoBucket),
    ("NoSuchKey", Trouble::NoObject),
    ("PermanentRedirect", Trouble::Region),
    ("IllegalLocationConstraintException", Trouble::Region),
    ("AccessDenied", Trouble::Denied),
    ("AllAccessDisabled", Trouble::Denied),
    ("AccountProblem", Trouble::Denied),
    ("QuotaExceeded", Trouble::Full),
    ("SlowDown", Trouble::Busy),
    ("ServiceUnavailable", Trouble::Busy),
];
/// What Garage's messages mean where its codes say less: the code, words of the message.
const MESSAGES: [(&str, &str, Trouble); 3] = [
    ("AccessDenied", "Invalid signature", Trouble::Credentials),
    ("AccessDenied", "No such key", Trouble::Credentials),
    ("InvalidRequest", "Date is too old", Trouble::Clock),
];
/// Where a machine in a cloud asks for credentials that it was not given.
const INSTANCE_METADATA: [&str; 2] = ["169.254.169.254", "metadata.google.internal"];

/// What the error means, in a sentence without the store's name: what is wrong, what the store says, what to do.
pub fn diagnose(error: &object_store::Error) -> String {
    let trouble = Trouble::of(error);
    let said = said(error);
    match trouble.advice() {
        Some((what, advice)) => format!("{what} ({said}); {advice}"),
        None => said,
    }
}

impl Trouble {
    /// What the error means.
    pub fn of(error: &object_store::Error) -> Trouble {
        let text = error.to_string();
        if INSTANCE_METADATA.iter().any(|host| text.contains(host)) {
            return Trouble::NoCredentials;
        }
        if let Some(trouble) = element(&text, "Code").and_then(|code| of_answer(&code, &text)) {
            return trouble;
        }
        if let Some(trouble) = sources(error).find_map(of_source) {
            return trouble;
        }
        match error {
            object_store::Error::Unauthenticated { .. } => Trouble::Credentials,
            object_store::Error::PermissionDenied { .. } => Trouble::Denied,
            object_store::Error::NotFound { .. } => Trouble::NoObject,
            _ if text.contains("without LOCATION") => Trouble::Region,
            _ => Trouble::Other,
        }
    }

    /// What it is, and what to do about it.
    fn advice(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Trouble::Unreachable => {
                ("nothing answers at its endpoint", "check the endpoint (such as AWS_ENDPOINT_URL) and the network")
            }
            Trouble::Slow => (
                "its endpoint does not answer in time",
                "check the endpoint (such as AWS_ENDPOINT_URL) and the network",
            ),
            Trouble::NoCredentials => (
                "no credentials were given, and this machine's cloud has none for it",
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what stands in their place",
            ),
            Trouble::Credentials => (
                "it does not take the credentials",
                "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or what stands in their place",
            ),
            Trouble::Clock => ("this machine's clock is too far from its", "set the clock, best by NTP"),
            Trouble::NoBucket => ("there is no such bucket", "make it, or check its name"),
            Trouble::Region => ("its bucket lies in another region", "set AWS_REGION to the bucket's"),
            Trouble::Denied => {
                ("it does not allow this", "give whoever runs this the right to list, read, write and delete there")
            }
            Trouble::ReadOnly => ("its file system is read-only", "mount it for writing, or choose another folder"),
            Trouble::Full => ("it is full", "make room there"),
            Trouble::Busy => ("it is too busy", "try again later"),
            Trouble::NoObject | Trouble::Other => return None,
        })
    }
}

fn of_answer(code: &str, text: &str) -> Option<Trouble> {
    let message = element(text, "Message").unwrap_or_default();
    let known = MESSAGES.iter().find(|(known, words, _)| *known == code && message.contains(words));
    known.map(|known| known.2).or_else(|| CODES.iter().find(|(known, _)| *known == code).map(|known| known.1))
}

fn of_source(source: &(dyn Error + 'static)) -> Option<Trouble> {
    if let Some(http) = source.downcast_ref::<HttpError>() {
        return match http.kind() {
            HttpErrorKind::Connect => Some(Trouble::Unreachable),
            HttpErrorKind::Timeout | HttpErrorKind::Interrupted => Some(Trouble::Slow),
            _ => None,
        };
    }
    match source.downcast_ref::<std::io::Error>()?.kind() {
        ErrorKind::PermissionDenied => Some(Trouble::Denied),
        ErrorKind::ReadOnlyFilesystem => Some(Trouble::ReadOnly),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some(Trouble::Full),
        _ => None,
    }
}

/// The error's causes, from the outermost.
fn sources<'a>(error: &'a object_store::Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |source| {
        let source: &'a (dyn Error + 'static) = *source;
        source.source()
    })
}

/// The store's own words: of XML its code and message, else the innermost cause.
fn said(error: &object_store::Error) -> String {
    let text = error.to_string();
    match (element(&text, "Code"), element(&text, "Message")) {
        (Some(code), Some(message)) if !message.is_empty() => format!("{code}: {}", message.trim_end_matches('.')),
        (Some(code), _) => code,
        _ => sources(error).last().map_or(text, ToString::to_string),
    }
}

/// The text within the first XML element of this name.
fn element(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let escaped = rest.split_once(&format!("</{name}>"))?.0.trim();
    let signs = [("&lt;", "<"), ("&gt;", ">"), ("&apos;", "'"), ("&quot;", "\""), ("&amp;", "&")];
    Some(signs.iter().fold(escaped.to_string(), |text, (entity, sign)| text.replace(entity, sign)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(source: &str) -> object_store::Error {
        object_store::Error::PermissionDenied { path: "a/b".to_string(), source: source.into() }
    }

    fn of_io(kind: ErrorKind) -> object_store::Error {
        object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(std::io::Error::from(kind)) }
    }

    /// The answers as AWS documents them.
    #[test]
    fn answers_of_s3_are_told_apart_by_their_codes() {
        let answer = |code: &str| {
            denied(&format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>It says so.</Message></Error>"))
        };
        for (code, trouble, words) in [
            ("RequestTimeTooSkewed", Trouble::Clock, "set the clock"),
            ("SignatureDoesNotMatch", Trouble::Credentials, "AWS_SECRET_ACCESS_KEY"),
            ("NoSuchBucket", Trouble::NoBucket, "no such bucket"),
            ("AccessDenied", Trouble::Denied, "does not allow"),
            ("SlowDown", Trouble::Busy, "too busy"),
        ] {
            assert_eq!(Trouble::of(&answer(code)), trouble);
            let sentence = diagnose(&answer(code));
            assert!(sentence.contains(words) && sentence.contains(&format!("{code}: It says so")), "{sentence}");
        }
        assert_eq!(Trouble::of(&denied("no body")), Trouble::Denied);
    }

    /// The answers of Garage 2.5.
    #[test]
    fn answers_of_garage_are_told_apart_by_their_messages() {
        let answer = |code: &str, message: &str| {
            denied(&format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>"))
        };
        for (code, message, trouble) in [
            ("AccessDenied", "Forbidden: Invalid signature", Trouble::Credentials),
            ("AccessDenied", "Forbidden: No such key: GK0123", Trouble::Credentials),
            ("AccessDenied", "Forbidden: Operation is not allowed for this key.", Trouble::Denied),
            ("InvalidRequest", "Bad request: Date is too old", Trouble::Clock),
            ("InvalidRequest", "Bad request: something else", Trouble::Denied),
        ] {
            assert_eq!(Trouble::of(&answer(code, message)), trouble, "{message}");
        }
        let scope = answer("AuthorizationHeaderMalformed", "unexpected scope: &apos;a/b&apos; &amp;amp;");
        assert!(diagnose(&scope).contains("unexpected scope: 'a/b' &amp;)"), "{}", diagnose(&scope));
    }

    #[test]
    fn errors_of_a_file_system_are_told_apart_by_their_kind() {
        for (kind, trouble) in [
            (ErrorKind::StorageFull, Trouble::Full),
            (ErrorKind::QuotaExceeded, Trouble::Full),
            (ErrorKind::ReadOnlyFilesystem, Trouble::ReadOnly),
            (ErrorKind::PermissionDenied, Trouble::Denied),
            (ErrorKind::Other, Trouble::Other),
        ] {
            assert_eq!(Trouble::of(&of_io(kind)), trouble);
        }
    }

    #[test]
    fn a_machine_without_credentials_that_is_in_no_cloud_lacks_credentials() {
        let source = "Error performing PUT http://169.254.169.254/latest/api/token in 1s";
        let error = object_store::Error::Generic { store: "S3", source: source.into() };
        assert_eq!(Trouble::of(&error), Trouble::NoCredentials);
        assert!(diagnose(&error).contains("no credentials were given"));
    }
}
