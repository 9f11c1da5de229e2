//! What curvefleet asks of a store, asked of each kind: a folder, memory, an S3 server in this process over HTTP with signatures, and
//! Garage, where there is a `garage` on the path or in CURVEFLEET_TEST_GARAGE. Nothing here needs conditional writes.
#![allow(clippy::unwrap_used)]

#[path = "system/s3_server.rs"]
mod s3_server;
mod stores {
    pub mod cases;
    pub mod garage;
}

use std::sync::Arc;

use curvefleet_proto::store::Store;
use object_store::ObjectStore;
use stores::cases;

/// A store to be asked, and what keeps it there.
struct Bench {
    objects: Arc<dyn ObjectStore>,
    _alive: Box<dyn std::any::Any>,
}

fn folder() -> Option<Bench> {
    let folder = tempfile::tempdir().unwrap();
    let objects = Store::open(folder.path().to_str().unwrap(), []).unwrap().objects();
    Some(Bench { objects, _alive: Box::new(folder) })
}

fn memory() -> Option<Bench> {
    Some(Bench { objects: Arc::new(object_store::memory::InMemory::new()), _alive: Box::new(()) })
}

fn s3() -> Option<Bench> {
    let buckets = tempfile::tempdir().unwrap();
    std::fs::create_dir(buckets.path().join("lab")).unwrap();
    let endpoint = s3_server::serve(buckets.path());
    let objects =
        Store::open("s3://lab/experiments", s3_server::variables(&endpoint, s3_server::SECRET)).unwrap().objects();
    Some(Bench { objects, _alive: Box::new(buckets) })
}

fn garage() -> Option<Bench> {
    let garage = stores::garage::start()?;
    let objects = Store::open("s3://lab/experiments", garage.variables()).unwrap().objects();
    Some(Bench { objects, _alive: Box::new(garage) })
}

/// Runs the cases named, one test each, on a kind of store.
macro_rules! conformance {
    ($($kind:ident),*: $cases:tt) => { $(conformance! { @one $kind $cases })* };
    (@one $kind:ident [$($case:ident),* $(,)?]) => {
        mod $kind {
            $(#[tokio::test]
            async fn $case() {
                match crate::$kind() {
                    Some(bench) => crate::cases::$case(bench.objects.as_ref()).await,
                    None => println!("skipped: there is no {} here", stringify!($kind)),
                }
            })*
        }
    };
}

conformance! { folder, memory, s3, garage: [
    an_object_is_given_back_as_it_was_put,
    an_empty_object_is_an_object,
    a_large_object_is_given_back_whole,
    parts_of_an_object_are_given_by_range,
    an_object_put_again_is_the_new_one,
    an_object_that_is_not_there_is_not_found,
    a_deleted_object_is_gone_and_its_neighbours_stay,
    keys_may_have_spaces_and_other_signs,
    a_listing_has_what_is_below_a_prefix_with_sizes,
    a_listing_of_folders_has_each_once,
    more_objects_than_a_page_has_are_all_listed,
] }
