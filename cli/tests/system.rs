//! The whole system, driven as people drive it: the real binary, real processes, real sockets, real stores.
#![allow(clippy::unwrap_used)]

mod system {
    mod folder;
    #[path = "../stores/garage.rs"]
    mod garage;
    mod process;
    mod proxy;
    mod s3_server;
    mod server;

    mod analyze;
    mod backup;
    mod chaos;
    mod compaction;
    mod export;
    mod faults;
    mod gc;
    mod identity;
    mod memory;
    mod one_process;
    mod processes;
    mod queue;
    mod refusals;
    mod s3;
    mod secure;
    mod several;
    mod store_check;
    mod studies;
    mod verify;
}
