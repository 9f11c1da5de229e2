//! The cases, over any store.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutPayload};

/// Objects in a listing's page on S3 and its compatibles.
const PAGE: usize = 1_000;

async fn put(store: &dyn ObjectStore, key: &str, content: impl Into<PutPayload>) {
    store.put(&Path::from(key), content.into()).await.unwrap();
}

async fn get(store: &dyn ObjectStore, key: &str) -> Vec<u8> {
    store.get(&Path::from(key)).await.unwrap().bytes().await.unwrap().to_vec()
}

/// The keys below a prefix, with their sizes.
async fn list(store: &dyn ObjectStore, prefix: Option<&str>) -> BTreeSet<(String, u64)> {
    let prefix = prefix.map(Path::from);
    let listed = store.list(prefix.as_ref()).map_ok(|object| (object.location.to_string(), object.size));
    let listed: Vec<_> = listed.try_collect().await.unwrap();
    let distinct: BTreeSet<_> = listed.iter().cloned().collect();
    assert_eq!(distinct.len(), listed.len(), "a key is listed once");
    distinct
}

fn keys(of: &[(&str, u64)]) -> BTreeSet<(String, u64)> {
    of.iter().map(|(key, size)| (key.to_string(), *size)).collect()
}

/// Bytes of every value, without a period that a block of any usual size would have.
fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (index * 31 % 257 % 256) as u8).collect()
}

pub async fn an_object_is_given_back_as_it_was_put(store: &dyn ObjectStore) {
    put(store, "studies/one/study.toml", content(3_000)).await;
    assert!(get(store, "studies/one/study.toml").await == content(3_000));
    let head = store.head(&Path::from("studies/one/study.toml")).await.unwrap();
    assert_eq!((head.size, head.location.as_ref()), (3_000, "studies/one/study.toml"));
    assert!(head.last_modified.timestamp() > 1_500_000_000, "{}", head.last_modified);
}

pub async fn an_empty_object_is_an_object(store: &dyn ObjectStore) {
    put(store, "empty", Vec::new()).await;
    assert!(get(store, "empty").await.is_empty());
    assert_eq!(store.head(&Path::from("empty")).await.unwrap().size, 0);
}

pub async fn a_large_object_is_given_back_whole(store: &dyn ObjectStore) {
    let large = content(9 << 20);
    put(store, "checkpoints/00/epoch-1.bpk", large.clone()).await;
    assert!(get(store, "checkpoints/00/epoch-1.bpk").await == large);
}

pub async fn parts_of_an_object_are_given_by_range(store: &dyn ObjectStore) {
    let whole = content(5_000);
    put(store, "ranged", whole.clone()).await;
    for range in [0..1, 0..5_000, 1_000..3_000, 4_999..5_000] {
        let found = store.get_range(&Path::from("ranged"), range.clone()).await.unwrap();
        assert!(found[..] == whole[range.start as usize..range.end as usize], "{range:?}");
    }
}

pub async fn an_object_put_again_is_the_new_one(store: &dyn ObjectStore) {
    put(store, "manifest.parquet", content(2_000)).await;
    put(store, "manifest.parquet", "new").await;
    assert_eq!(get(store, "manifest.parquet").await, b"new");
    assert_eq!(list(store, None).await, keys(&[("manifest.parquet", 3)]));
}

pub async fn an_object_that_is_not_there_is_not_found(store: &dyn ObjectStore) {
    put(store, "there/object", "x").await;
    for key in ["nowhere", "there/nowhere", "the"] {
        let key = Path::from(key);
        assert!(matches!(store.get(&key).await, Err(Error::NotFound { .. })), "get {key}");
        assert!(matches!(store.head(&key).await, Err(Error::NotFound { .. })), "head {key}");
        // Deleting what is not there is no error on S3 and one on a file system; callers take both.
        assert!(matches!(store.delete(&key).await, Ok(()) | Err(Error::NotFound { .. })), "delete {key}");
    }
    assert!(list(store, Some("nowhere")).await.is_empty());
    assert_eq!(get(store, "there/object").await, b"x");
}

pub async fn a_deleted_object_is_gone_and_its_neighbours_stay(store: &dyn ObjectStore) {
    for key in ["a/1", "a/2", "a/20"] {
        put(store, key, key.to_string()).await;
    }
    store.delete(&Path::from("a/2")).await.unwrap();
    assert!(matches!(store.head(&Path::from("a/2")).await, Err(Error::NotFound { .. })));
    assert_eq!(list(store, Some("a")).await, keys(&[("a/1", 3), ("a/20", 4)]));
}

pub async fn keys_may_have_spaces_and_other_signs(store: &dyn ObjectStore) {
    let names = ["a name with spaces", "joy+anger&fear=100%", "Übung_ß", "figure (1).svg", "a'b,c;d@e!f"];
    for name in names {
        put(store, &format!("reports/{name}"), name.to_string()).await;
    }
    for name in names {
        assert_eq!(get(store, &format!("reports/{name}")).await, name.as_bytes());
    }
    let expected = names.map(|name| (Path::from(format!("reports/{name}")).to_string(), name.len() as u64));
    let listed = list(store, Some("reports")).await;
    assert_eq!(listed, BTreeSet::from(expected));
    for (key, _) in listed {
        // As it was listed, so it is read.
        store.get(&Path::parse(&key).unwrap()).await.unwrap();
    }
}

pub async fn a_listing_has_what_is_below_a_prefix_with_sizes(store: &dyn ObjectStore) {
    for (key, bytes) in
        [("studies/a/curves/1", 10), ("studies/a/curves/2", 20), ("studies/ab/curves/1", 30), ("top", 1)]
    {
        put(store, key, content(bytes)).await;
    }
    assert_eq!(list(store, Some("studies/a")).await, keys(&[("studies/a/curves/1", 10), ("studies/a/curves/2", 20)]));
    assert_eq!(list(store, None).await.len(), 4);
}

pub async fn a_listing_of_folders_has_each_once(store: &dyn ObjectStore) {
    for key in ["studies/a/study.toml", "studies/a/curves/1", "studies/b/study.toml", "studies/readme"] {
        put(store, key, "x").await;
    }
    let listed = store.list_with_delimiter(Some(&Path::from("studies"))).await.unwrap();
    let folders: BTreeSet<&str> = listed.common_prefixes.iter().map(AsRef::as_ref).collect();
    assert_eq!((folders, listed.common_prefixes.len()), (BTreeSet::from(["studies/a", "studies/b"]), 2));
    let objects: Vec<&str> = listed.objects.iter().map(|object| object.location.as_ref()).collect();
    assert_eq!(objects, ["studies/readme"]);
}

pub async fn more_objects_than_a_page_has_are_all_listed(store: &dyn ObjectStore) {
    for index in 0..PAGE + 100 {
        put(store, &format!("curves/{index:05}"), "x").await;
    }
    let listed = list(store, Some("curves")).await;
    assert_eq!(listed.len(), PAGE + 100);
    assert_eq!(listed.last().unwrap().0, "curves/01099");
}
