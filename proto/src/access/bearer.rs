//! The token that goes with every request.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use super::{Error, read, warn_if_open_to_others};

/// The variable that may hold the token itself.
pub const TOKEN_VARIABLE: &str = "CURVEFLEET_TOKEN";
/// How every token begins, so that people and programs that search for secrets know it for one.
pub const PREFIX: &str = "cfl_";

/// Puts the token on requests, where there is one. Clones share it.
#[derive(Clone, Default)]
pub struct Bearer {
    header: Arc<RwLock<Option<MetadataValue<Ascii>>>>,
    /// Where it was read, for reading it again.
    file: Option<PathBuf>,
}

impl Bearer {
    /// A token in a text; `None` if the text is none.
    pub fn from_text(text: &str) -> Option<Bearer> {
        let header = header(text)?;
        Some(Bearer { header: Arc::new(RwLock::new(Some(header))), file: None })
    }

    /// The token in a file.
    ///
    /// # Errors
    /// If the file cannot be read or holds no token.
    pub fn from_file(path: &Path) -> Result<Bearer, Error> {
        let header = load(path)?;
        warn_if_open_to_others("the token's file", path);
        Ok(Bearer { header: Arc::new(RwLock::new(Some(header))), file: Some(path.to_path_buf()) })
    }

    /// Whether there is a token.
    pub fn is_there(&self) -> bool {
        self.held().is_some()
    }

    /// Reads the file again; whether another token was in it. A worker does so when its token is refused, so that a new token
    /// needs no restart.
    pub fn read_again(&self) -> bool {
        let Some(path) = &self.file else { return false };
        // A file that is just being written is read at the next refusal.
        let Ok(header) = load(path) else { return false };
        let mut held = self.header.write().unwrap_or_else(PoisonError::into_inner);
        let is_another = held.as_ref() != Some(&header);
        *held = Some(header);
        is_another
    }

    fn held(&self) -> Option<MetadataValue<Ascii>> {
        self.header.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn load(path: &Path) -> Result<MetadataValue<Ascii>, Error> {
    let text = read("the token's file", path)?;
    let text = std::str::from_utf8(&text).ok();
    text.and_then(header).ok_or_else(|| Error::NoToken(path.display().to_string()))
}

fn header(text: &str) -> Option<MetadataValue<Ascii>> {
    let token = text.trim();
    if !token.starts_with(PREFIX) || !token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return None;
    }
    let mut header: MetadataValue<Ascii> = format!("Bearer {token}").parse().ok()?;
    // Kept out of logs and out of the compression table that requests of a connection share.
    header.set_sensitive(true);
    Some(header)
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(header) = self.held() {
            request.metadata_mut().insert("authorization", header);
        }
        Ok(request)
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.is_there() { "Bearer(…)" } else { "Bearer(none)" })
    }
}
