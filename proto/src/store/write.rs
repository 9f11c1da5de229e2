//! Writing objects of any size: small ones in one request, larger ones in parts (S3's multipart upload), a few parts at a time, so that
//! a slow line carries them and memory stays bounded.

use bytes::Bytes;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutPayload};
use tokio::io::AsyncWriteExt;

use super::Store;

/// Objects of at least this size, in bytes, are written in parts of this size. S3 takes no parts below 5 MiB (but the last) and at most
/// 10,000 of them; some of its compatibles want all but the last to be of one size.
pub const PART_BYTES: usize = 8 << 20;
/// Parts of one object that are on their way at the same time.
const PARTS_AT_ONCE: usize = 2;

/// An object that is being written. It is there, whole, once [`Writer::finish`] has returned, and not before.
#[derive(Debug)]
pub struct Writer(BufWriter);

impl Store {
    /// Writes an object, in parts where it is large. An object that is there already is replaced, and never seen in between.
    ///
    /// # Errors
    /// What the store says.
    pub async fn put(&self, key: &str, bytes: impl Into<Bytes>) -> Result<(), Error> {
        let bytes = bytes.into();
        if bytes.len() < PART_BYTES {
            return self.objects.put(&Path::from(key), PutPayload::from(bytes)).await.map(drop);
        }
        let mut writer = self.writer(key);
        writer.put(bytes).await?;
        writer.finish().await
    }

    /// Begins an object whose bytes come one after another.
    pub fn writer(&self, key: &str) -> Writer {
        let writer = BufWriter::with_capacity(self.objects(), Path::from(key), PART_BYTES);
        Writer(writer.with_max_concurrency(PARTS_AT_ONCE))
    }
}

impl Writer {
    /// Adds bytes to the end; waits while enough is on its way.
    ///
    /// # Errors
    /// What the store says; nothing of the object is left there then, unless the store is away.
    pub async fn put(&mut self, mut bytes: Bytes) -> Result<(), Error> {
        while !bytes.is_empty() {
            let part = bytes.split_to(bytes.len().min(PART_BYTES));
            if let Err(error) = self.0.put(part).await {
                // What fails for the same reason changes nothing.
                let _ = self.0.abort().await;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Ends the object.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub async fn finish(mut self) -> Result<(), Error> {
        self.0.shutdown().await.map_err(|error| match error.downcast::<Error>() {
            Ok(error) => error,
            Err(error) => Error::Generic { store: "writer", source: error.into() },
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;

    #[tokio::test]
    async fn an_object_in_one_request_or_in_parts_is_given_back_whole() {
        let folder = Scratch::new();
        let store = Store::open(folder.path().to_str().unwrap(), []).unwrap();
        for bytes in [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES] {
            let content: Bytes = (0..bytes).map(|index| (index % 251) as u8).collect::<Vec<_>>().into();
            store.put("whole", content.clone()).await.unwrap();
            let mut writer = store.writer("streamed");
            for piece in content.chunks(3 << 20) {
                writer.put(Bytes::copy_from_slice(piece)).await.unwrap();
            }
            writer.finish().await.unwrap();
            for key in ["whole", "streamed"] {
                let found = store.objects().get(&Path::from(key)).await.unwrap().bytes().await.unwrap();
                assert!(found == content, "{key}, {bytes} bytes");
            }
        }
    }
}
