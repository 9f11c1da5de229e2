//! The object store as one process sees it: slow, away at times, and now and then not answering what it has done.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt as _,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::scene::{Planted, Scene};

pub struct Objects {
    pub scene: Arc<Scene>,
    pub owner: String,
    /// Whether it is a worker's.
    pub of_worker: bool,
}

/// Before the answer to an operation, or in its place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    /// Carried out, and the answer is lost.
    Unanswered,
}

fn away() -> object_store::Error {
    object_store::Error::Generic { store: "simulation", source: "the store is away".into() }
}

impl Objects {
    fn inner(&self) -> &InMemory {
        &self.scene.objects
    }

    async fn turn(scene: Arc<Scene>) -> Result<Fate> {
        let pause = scene.between("store", 1, if scene.weather().stormy { 200 } else { 20 });
        tokio::time::sleep(Duration::from_millis(pause)).await;
        if scene.weather().store_away || scene.mishap("store", 30) {
            return Err(away());
        }
        Ok(if scene.mishap("store", 20) { Fate::Unanswered } else { Fate::Done })
    }
}

impl Fate {
    fn of<T>(self, done: Result<T>) -> Result<T> {
        if self == Fate::Unanswered { Err(away()) } else { done }
    }
}

#[tonic::async_trait]
impl ObjectStore for Objects {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if self.scene.planted == Some(Planted::CommitBeforeUpload) && self.of_worker {
            let (scene, location) = (self.scene.clone(), location.clone());
            tokio::spawn(async move {
                let pause = scene.between("late uploads", 0, 5_000);
                tokio::time::sleep(Duration::from_millis(pause)).await;
                scene.objects.put(&location, payload).await.unwrap();
            });
            return Ok(PutResult { e_tag: None, version: None, extensions: Default::default() });
        }
        let fate = Objects::turn(self.scene.clone()).await?;
        let put = fate.of(self.inner().put_opts(location, payload, options).await);
        self.scene.note(format!("{} puts {location}: {}", self.owner, put.is_ok()));
        put
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let fate = Objects::turn(self.scene.clone()).await?;
        fate.of(self.inner().put_multipart_opts(location, options).await)
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let fate = Objects::turn(self.scene.clone()).await?;
        fate.of(self.inner().get_opts(location, options).await)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner().delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (scene, listed) = (self.scene.clone(), self.inner().list(prefix));
        futures::stream::once(async move {
            match Objects::turn(scene).await {
                Ok(_) => listed,
                Err(error) => futures::stream::once(async { Err(error) }).boxed(),
            }
        })
        .flatten()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let fate = Objects::turn(self.scene.clone()).await?;
        fate.of(self.inner().list_with_delimiter(prefix).await)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let fate = Objects::turn(self.scene.clone()).await?;
        fate.of(self.inner().copy_opts(from, to, options).await)
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Objects({})", self.owner)
    }
}

impl fmt::Display for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Objects({})", self.owner)
    }
}
