//! An object while it is written: what is full of it is on its way to the store, and it is there whole or not at all.

use std::io::{self, Write};

use curvefleet_proto::store::Store;
use object_store::path::Path;
use object_store::{ObjectStoreExt, WriteMultipart};
use tokio::runtime::Handle;

use crate::error::Error;

/// Bytes that are sent at a time.
const CHUNK_BYTES: usize = 8 << 20;
/// Chunks on their way at most; who writes waits for them.
const CHUNKS_IN_FLIGHT: usize = 2;

/// An object that is being written, from a thread where waiting holds no task up.
pub struct Upload {
    /// `None` once it is complete.
    pieces: Option<WriteMultipart>,
    runtime: Handle,
}

impl Upload {
    /// Begins to write the object `key`, in the place of what may be there. To be called in the runtime that the store is used in.
    ///
    /// # Errors
    /// If the store does not take it.
    pub async fn begin(store: &Store, key: &str) -> Result<Upload, Error> {
        let begun = store.objects().put_multipart(&Path::from(key)).await;
        let upload = begun.map_err(|source| Error::Objects { place: store.locate(key), source })?;
        let pieces = WriteMultipart::new_with_chunk_size(upload, CHUNK_BYTES);
        Ok(Upload { pieces: Some(pieces), runtime: Handle::current() })
    }

    /// Sends the rest, and lets the object be there.
    ///
    /// # Errors
    /// If the store did not take all of it.
    pub async fn complete(mut self) -> Result<(), object_store::Error> {
        match self.pieces.take() {
            Some(pieces) => pieces.finish().await.map(|_| ()),
            None => Ok(()),
        }
    }
}

impl Drop for Upload {
    /// What was sent of an object that will not be is taken back, as far as the store can be reached.
    fn drop(&mut self) {
        if let Some(pieces) = self.pieces.take() {
            self.runtime.spawn(pieces.abort());
        }
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(pieces) = &mut self.pieces else { return Err(io::Error::other("the object is complete")) };
        self.runtime.block_on(pieces.wait_for_capacity(CHUNKS_IN_FLIGHT)).map_err(io::Error::other)?;
        // The pieces are sent by tasks of the runtime.
        let _inside = self.runtime.enter();
        pieces.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
