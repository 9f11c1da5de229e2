//! Files that a URL names, such as `s3://bucket/folder/NATOPS_TRAIN.ts`, brought to this machine for an import.

use std::path::{Path, PathBuf};

use curvefleet_proto::store::{Store, diagnose};
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path as Key;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

use crate::failure::Failure;

/// Where files are brought to; gone when it is dropped.
#[derive(Debug, Default)]
pub struct Here {
    folders: Vec<TempDir>,
}

impl Here {
    /// The path of a file on this machine: itself, or that of a copy under the same name, by which a data set may be called.
    ///
    /// # Errors
    /// If the URL's store cannot be opened or does not give the file, or there is no room for it here.
    pub async fn bring(&mut self, file: &Path) -> Result<PathBuf, Failure> {
        let Some(url) = file.to_str().filter(|text| text.contains("://")) else { return Ok(file.to_path_buf()) };
        let cannot = |reason: String| Failure::user(format!("{url} cannot be read: {reason}"));
        if let Some(path) = url.strip_prefix("file://") {
            return Ok(PathBuf::from(path));
        }
        let is_whole = |(parent, name): &(&str, &str)| !parent.ends_with('/') && !name.is_empty();
        let (parent, name) = url
            .rsplit_once('/')
            .filter(is_whole)
            .ok_or_else(|| cannot("it names no object; it looks like s3://bucket/folder/file".to_string()))?;
        let folder = tempfile::tempdir().map_err(|error| cannot(format!("no room for a copy: {error}")))?;
        let path = folder.path().join(name);
        self.folders.push(folder);
        let key = Key::parse(name).map_err(|error| cannot(error.to_string()))?;
        let store = Store::open(parent, std::env::vars())?;
        let object = store.objects().get(&key).await.map_err(|error| match error {
            object_store::Error::NotFound { .. } => cannot("there is no such object".to_string()),
            error => cannot(diagnose(&error)),
        })?;
        let mut copy = tokio::fs::File::create(&path).await.map_err(|error| cannot(error.to_string()))?;
        let mut bytes = object.into_stream();
        while let Some(piece) = bytes.try_next().await.map_err(|error| cannot(diagnose(&error)))? {
            let full = |error| cannot(format!("the copy {} cannot be written: {error}", path.display()));
            copy.write_all(&piece).await.map_err(full)?;
        }
        copy.flush().await.map_err(|error| cannot(error.to_string()))?;
        Ok(path)
    }
}
