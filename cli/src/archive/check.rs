//! Whether a store can be used: it is asked for everything that curvefleet will ask of it, with an object of the check's own.

use curvefleet_proto::store::diagnose;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutPayload};

/// Size of the object, in bytes: large enough for a range within it.
const SIZE_BYTES: usize = 4_096;
/// The range that is read, in bytes.
const RANGE: std::ops::Range<usize> = 1_000..3_000;

const LISTING: &str = "listing objects";

/// What the store did not do, and why.
#[derive(Debug, thiserror::Error)]
#[error("{doing} failed: {reason}")]
pub struct Refusal {
    doing: &'static str,
    reason: String,
}

/// Lists, writes an object `key`, lists, reads and deletes it. Leaves nothing behind, unless the store does not let it delete.
///
/// # Errors
/// With the first thing that the store does not do.
pub async fn check(objects: &dyn ObjectStore, key: &Path) -> Result<(), Refusal> {
    // First what changes nothing: some servers make a bucket that is missing when they are written to.
    objects.list_with_delimiter(None).await.map_err(|error| refusal(LISTING, &error))?;
    let content: Vec<u8> = (0..SIZE_BYTES).map(|index| (index * 7 % 251) as u8).collect();
    let put = objects.put(key, PutPayload::from(content.clone())).await;
    put.map_err(|error| refusal("writing an object", &error))?;
    let read = read(objects, key, &content).await;
    let deleted = delete(objects, key).await;
    read.and(deleted)
}

async fn read(objects: &dyn ObjectStore, key: &Path, content: &[u8]) -> Result<(), Refusal> {
    let doing = LISTING;
    let listed = objects.list_with_delimiter(None).await.map_err(|error| refusal(doing, &error))?;
    let found = listed.objects.iter().find(|object| object.location == *key).map(|object| object.size);
    if found != Some(content.len() as u64) {
        let reason = "an object that was written is not listed with its size".to_string();
        return Err(Refusal { doing, reason });
    }
    let doing = "reading an object";
    let object = objects.get(key).await.map_err(|error| refusal(doing, &error))?;
    same(doing, &object.bytes().await.map_err(|error| refusal(doing, &error))?, content)?;
    let doing = "reading a part of an object";
    let range = objects.get_range(key, RANGE.start as u64..RANGE.end as u64).await;
    same(doing, &range.map_err(|error| refusal(doing, &error))?, &content[RANGE])
}

async fn delete(objects: &dyn ObjectStore, key: &Path) -> Result<(), Refusal> {
    let doing = "deleting an object";
    objects.delete(key).await.map_err(|error| refusal(doing, &error))?;
    match objects.head(key).await {
        Err(Error::NotFound { .. }) => Ok(()),
        Ok(_) => Err(Refusal { doing, reason: "an object that was deleted is still there".to_string() }),
        Err(error) => Err(refusal(doing, &error)),
    }
}

fn same(doing: &'static str, found: &[u8], expected: &[u8]) -> Result<(), Refusal> {
    if found == expected {
        return Ok(());
    }
    Err(Refusal { doing, reason: "the store gave other bytes than it was given".to_string() })
}

fn refusal(doing: &'static str, error: &Error) -> Refusal {
    Refusal { doing, reason: diagnose(error) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use futures::TryStreamExt;

    #[tokio::test]
    async fn a_store_in_memory_works_and_is_left_empty() {
        let store = object_store::memory::InMemory::new();
        check(&store, &Path::from("probe")).await.unwrap();
        assert!(store.list(None).try_collect::<Vec<_>>().await.unwrap().is_empty());
    }
}
