//! What lies in a store, looked after: whether the store can be used, whether a study's artifacts are whole, what is garbage, and
//! copies to keep. Nothing here trains or schedules; where a run is to be trained again, the coordinator is asked.
//!
//! - [`check`]: whether a store can be used
//! - [`part`]: a curve part down to its bits
//! - [`verify`]: a study's parts and data sets against what was committed
//! - [`rerun`]: runs trained again and compared with what is stored
//! - [`repair`]: damaged parts given up and their runs put back into the queue
//! - [`truth`]: what ledgers, manifests and study files name
//! - [`garbage`]: what nothing names
//! - [`export`]: a self-contained copy of a study

pub mod check;
pub mod export;
pub mod garbage;
mod part;
pub mod repair;
pub mod rerun;
pub mod truth;
pub mod verify;
