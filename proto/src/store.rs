//! Opening the object store that a URL names: a folder, `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.
//!
//! The caller passes the environment's variables in; for `s3://` they are the usual ones: `AWS_ACCESS_KEY_ID`,
//! `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_PROFILE`, `AWS_REGION` (or `AWS_DEFAULT_REGION`), `AWS_ENDPOINT_URL` (or
//! `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT`; one with `http://` is used as it is), `AWS_CHECKSUM_ALGORITHM`,
//! and `AWS_VIRTUAL_HOSTED_STYLE_REQUEST=true` for the endpoints that want the bucket in the host name
//! (path style is the default).
//!
//! - `profile`: what the files of AWS's own tools say where the environment does not
//! - `write`: objects of any size
//! - [`trouble`]: what an error of a store means, in a sentence

mod profile;
#[cfg(test)]
mod scratch;
pub mod trouble;
mod write;

use std::path::PathBuf;
use std::sync::Arc;

use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreScheme, RetryConfig};
use url::Url;

pub use trouble::{Trouble, diagnose};
pub use write::{PART_BYTES, Writer};

/// An object store and its URL. Keys are relative to the URL.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    url: String,
}

/// How long a store that fails is asked again before its error is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// For programs that run on: a store may be away for minutes.
    Long,
    /// For a person who waits for an answer.
    Short,
    /// For callers that ask again themselves, and say so.
    Brief,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is neither a folder nor a URL of a known kind.
    #[error(
        "the store `{url}` is not a folder or one of s3://bucket/prefix, gs://bucket/prefix, az://container/prefix: {reason}"
    )]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder cannot be made or opened.
    #[error("the store's folder {} cannot be used: {source}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The profile in the files of AWS's own tools cannot be used.
    #[error("the store `{url}` cannot be opened: {reason}")]
    Profile {
        /// The store's URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store refuses its settings, such as a missing region or key.
    #[error("the store `{url}` cannot be opened: {source}")]
    Settings {
        /// The store's URL.
        url: String,
        /// What `object_store` says.
        source: object_store::Error,
    },
}

impl Store {
    /// Opens the store at `location`; a folder is made where it is missing. `environment` gives keys, regions and endpoints.
    ///
    /// # Errors
    /// If the location is of no known kind, its folder cannot be made, or its settings do not fit.
    pub fn open(location: &str, environment: impl IntoIterator<Item = (String, String)>) -> Result<Store, Error> {
        Store::open_with(location, environment, Patience::Long)
    }

    /// As [`Store::open`], with so much patience.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(
        location: &str,
        environment: impl IntoIterator<Item = (String, String)>,
        patience: Patience,
    ) -> Result<Store, Error> {
        match location.split_once("://") {
            None => Store::open_folder(PathBuf::from(location)),
            Some(("file", _)) => {
                let url = parse(location)?;
                let folder =
                    url.to_file_path().map_err(|()| bad_url(location, "a file:// URL needs an absolute path"))?;
                Store::open_folder(folder)
            }
            Some(_) => Store::open_remote(location, environment, patience),
        }
    }

    /// A store of objects that are at hand already, under this URL.
    pub fn of(objects: Arc<dyn ObjectStore>, url: &str) -> Store {
        Store { objects, url: url.to_string() }
    }

    fn open_folder(folder: PathBuf) -> Result<Store, Error> {
        let open = || -> std::io::Result<(PathBuf, LocalFileSystem)> {
            std::fs::create_dir_all(&folder)?;
            let absolute = folder.canonicalize()?;
            let files = LocalFileSystem::new_with_prefix(&absolute).map_err(std::io::Error::other)?;
            Ok((absolute, files))
        };
        match open() {
            Ok((absolute, files)) => Ok(Store { objects: Arc::new(files), url: absolute.display().to_string() }),
            Err(source) => Err(Error::Folder { folder, source }),
        }
    }

    fn open_remote(
        location: &str,
        environment: impl IntoIterator<Item = (String, String)>,
        patience: Patience,
    ) -> Result<Store, Error> {
        let url = parse(location)?;
        let (scheme, prefix) = ObjectStoreScheme::parse(&url).map_err(|error| bad_url(location, &error.to_string()))?;
        // A variable that is empty counts as none, as with AWS's own tools.
        let mut variables: Vec<(String, String)> =
            environment.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let mut credentials = None;
        if matches!(scheme, ObjectStoreScheme::AmazonS3) {
            let added =
                profile::added(&variables).map_err(|reason| Error::Profile { url: location.to_string(), reason })?;
            variables.extend(added.variables);
            credentials = added.credentials;
        }
        let options = options(variables);
        let retry = patience.retries();
        // The three builders have the same methods and no trait for them.
        macro_rules! bucket {
            ($builder:ty) => {{
                let builder = <$builder>::new().with_url(location).with_retry(retry);
                options.into_iter().fold(builder, |builder, (key, value)| match key.parse() {
                    Ok(key) => builder.with_config(key, value),
                    Err(_) => builder,
                })
            }};
        }
        fn shared(bucket: impl ObjectStore) -> Arc<dyn ObjectStore> {
            Arc::new(bucket)
        }
        let bucket = match scheme {
            ObjectStoreScheme::AmazonS3 => {
                let builder = bucket!(AmazonS3Builder);
                let builder = match credentials {
                    Some(credentials) => builder.with_credentials(credentials),
                    None => builder,
                };
                builder.build().map(shared)
            }
            ObjectStoreScheme::GoogleCloudStorage => bucket!(GoogleCloudStorageBuilder).build().map(shared),
            ObjectStoreScheme::MicrosoftAzure => bucket!(MicrosoftAzureBuilder).build().map(shared),
            _ => return Err(bad_url(location, "this kind of URL is not known")),
        };
        let bucket = bucket.map_err(|source| Error::Settings { url: location.to_string(), source })?;
        let objects: Arc<dyn ObjectStore> =
            if prefix == Path::default() { bucket } else { Arc::new(PrefixStore::new(bucket, prefix)) };
        Ok(Store { objects, url: location.to_string() })
    }

    /// The store's objects, with keys relative to the store's URL.
    pub fn objects(&self) -> Arc<dyn ObjectStore> {
        self.objects.clone()
    }

    /// The store's URL, or the absolute path of its folder.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it is a folder of this machine, or of a file system that looks like one.
    pub fn is_folder(&self) -> bool {
        !self.url.contains("://")
    }

    /// Where an object lies, for a person: a file's path, or a URL.
    pub fn locate(&self, key: &str) -> String {
        format!("{}/{key}", self.url.trim_end_matches('/'))
    }
}

impl Patience {
    fn retries(self) -> RetryConfig {
        match self {
            Patience::Long => RetryConfig::default(),
            Patience::Short => {
                RetryConfig { max_retries: 1, retry_timeout: Duration::from_secs(10), ..RetryConfig::default() }
            }
            Patience::Brief => {
                RetryConfig { max_retries: 2, retry_timeout: Duration::from_secs(30), ..RetryConfig::default() }
            }
        }
    }
}

/// The variables that are a store's settings, by the names of `object_store`.
fn options(variables: Vec<(String, String)>) -> Vec<(String, String)> {
    let known = |key: &str| ["aws_", "google_", "azure_"].iter().any(|known| key.starts_with(known));
    let lower = variables.into_iter().map(|(key, value)| (key.to_ascii_lowercase(), value));
    let mut options: Vec<(String, String)> = lower.filter(|(key, _)| known(key)).collect();
    let is_plain = |maker: &str| {
        let mut endpoints = options.iter().filter(|(key, _)| key.starts_with(maker) && key.contains("endpoint"));
        endpoints.any(|(_, value)| value.starts_with("http://"))
    };
    // Whoever writes http:// in full has allowed it.
    let plain = [("aws_", "aws_allow_http"), ("azure_", "azure_allow_http")];
    let allowed: Vec<&str> = plain.iter().filter(|(maker, _)| is_plain(maker)).map(|(_, key)| *key).collect();
    options.extend(allowed.into_iter().map(|key| (key.to_string(), "true".to_string())));
    // Amazon's own servers keep a checksum with each object; of others some refuse a header that they do not know.
    let is_set = |start: &str| options.iter().any(|(key, _)| key.starts_with(start));
    if !is_set("aws_endpoint") && !is_set("aws_checksum_algorithm") {
        options.push(("aws_checksum_algorithm".to_string(), "sha256".to_string()));
    }
    options
}

fn parse(location: &str) -> Result<Url, Error> {
    Url::parse(location).map_err(|error| bad_url(location, &error.to_string()))
}

fn bad_url(url: &str, reason: &str) -> Error {
    Error::Url { url: url.to_string(), reason: reason.to_string() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn open(location: &str) -> Result<Store, Error> {
        Store::open(location, [("AWS_REGION".to_string(), "eu-west-1".to_string())])
    }

    #[test]
    fn an_s3_url_opens_without_touching_the_network() {
        assert_eq!(open("s3://bucket/some/prefix").unwrap().locate("a/b"), "s3://bucket/some/prefix/a/b");
    }

    #[test]
    fn a_url_of_an_unknown_kind_is_refused_by_name() {
        let error = open("ftp://host/folder").unwrap_err().to_string();
        assert!(error.contains("ftp://host/folder") && error.contains("s3://"), "{error}");
    }
}
