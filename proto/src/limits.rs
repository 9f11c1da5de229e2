//! Bounds on what may be sent, listed or named. A limit that is met is refused with a sentence, never cut silently.

/// Largest gRPC message either side takes, in bytes. The largest that is sent is a page of runs (about 300 bytes each) or a commit with its logs.
pub const MAX_MESSAGE_BYTES: usize = 16 << 20;
/// Most fields of a message, counting each time that one repeats; the largest that is sent has [`MAX_RUNS_PER_CHECK`].
pub const MAX_FIELDS_PER_MESSAGE: usize = 100_000;
/// Longest study file, in bytes, as text.
pub const MAX_STUDY_BYTES: usize = 1 << 20;
/// Most runs of one study.
pub const MAX_RUNS_PER_STUDY: u64 = 5_000_000;
/// Most runs of one shard, so that a lease's message and a commit stay small.
pub const MAX_RUNS_PER_SHARD: u32 = 1_000;
/// Most shards that one lease request is given.
pub const MAX_SHARDS_PER_LEASE: u32 = 64;
/// Most runs on one page of a listing.
pub const MAX_RUNS_PER_PAGE: u32 = 5_000;
/// Most run ids in one look-up.
pub const MAX_RUNS_PER_CHECK: usize = 50_000;
/// Most damaged parts in one request; the coordinator reads each of them before it gives it up.
pub const MAX_PARTS_PER_RETRY: usize = 256;
/// Most leases that one heartbeat or release names.
pub const MAX_HELD_PER_MESSAGE: usize = 1_024;
/// Most leases that a worker holds; as many as a heartbeat names.
pub const MAX_LEASES_PER_WORKER: usize = MAX_HELD_PER_MESSAGE;
/// Most workers that are alive at the same time.
pub const MAX_WORKERS: usize = 10_000;
/// Open connections of one address, and of all.
pub const MAX_CONNECTIONS_PER_ADDRESS: usize = 4_096;
/// See [`MAX_CONNECTIONS_PER_ADDRESS`]; each takes a file descriptor and some kilobytes.
pub const MAX_CONNECTIONS: usize = 16_384;
/// Requests and streams of one client that are open at the same time; each worker and each watcher takes one.
pub const MAX_OPEN_REQUESTS_PER_CLIENT: usize = 4_096;
/// Requests per second that a client is answered, on average over two seconds, unless the coordinator is told otherwise.
pub const MAX_REQUESTS_PER_SECOND: u32 = 5_000;
/// Wrong tokens per second that an address may show; more are refused unread.
pub const MAX_WRONG_TOKENS_PER_SECOND: u32 = 10;
/// Most tokens of a ledger, revoked and expired ones among them.
pub const MAX_TOKENS: usize = 10_000;
/// Longest name of a token's holder, in bytes; half of a worker's, whose name it begins.
pub const MAX_HOLDER_BYTES: usize = 60;
/// Most clients that follow studies of one coordinator at the same time.
pub const MAX_WATCHERS: usize = 1_024;
/// Most labels of a worker, and of what a study requires.
pub const MAX_LABELS: usize = 32;
/// Most graphics cards that a worker names.
pub const MAX_GPUS: usize = 64;
/// Longest reason that a person gives for what they do, in bytes.
pub const MAX_REASON_BYTES: usize = 1 << 10;
/// Most entries of the audit on one page.
pub const MAX_AUDIT_PER_PAGE: u32 = 1_000;
/// Open streams (heartbeats, watchers) on one connection.
pub const MAX_STREAMS_PER_CONNECTION: u32 = 256;
/// Longest name of a study, data set, model, class or worker, in bytes.
pub const MAX_NAME_BYTES: usize = 120;
/// Most features of a processor that a commit names; the longest lists of today have a tenth.
pub const MAX_CPU_FEATURES: usize = 256;
/// Longest error sentence kept with an attempt, in bytes.
pub const MAX_ERROR_BYTES: usize = 4 << 10;
/// Longest log kept with an attempt, in bytes; a worker sends the last lines.
pub const MAX_LOG_BYTES: usize = 16 << 10;
/// Largest checkpoint that is kept, in bytes: one that takes longer to write than a worker has when it is told to stop is of no use.
/// A checkpoint holds a network's parameters three times (with Adam's moments), 4 bytes each, for each run of a pack.
pub const MAX_CHECKPOINT_BYTES: usize = 1 << 30;

/// The longest prefix of `text` that has at most `max_bytes` bytes and ends on a character.
pub fn prefix(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}
