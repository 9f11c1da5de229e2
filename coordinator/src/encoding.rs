//! The one thread on which files are encoded. No request waits on it, and what it takes of memory for one file it has for the next; the
//! threads of a pool would each keep some.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

use parquet::errors::ParquetError;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Takes work for the thread, which ends when the last of its handles is gone.
#[derive(Debug, Clone)]
pub(crate) struct EncodingThread {
    /// `None` where the work is done at once, by whoever asks.
    jobs: Option<mpsc::Sender<Job>>,
}

impl EncodingThread {
    /// Starts the thread; without one, whoever asks waits.
    pub fn start() -> EncodingThread {
        // A runtime of one thread is a simulation's, in which no other thread may decide the order of events.
        if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
            return EncodingThread { jobs: None };
        }
        let (jobs, work) = mpsc::channel::<Job>();
        let thread = std::thread::Builder::new().name("encoding".to_string()).spawn(move || {
            for job in work {
                // Whoever waits for it is told by its answer's end.
                drop(catch_unwind(AssertUnwindSafe(job)));
            }
        });
        if let Err(error) = &thread {
            tracing::warn!(%error, "no thread for encoding files: requests wait for it now and then");
        }
        EncodingThread { jobs: thread.ok().map(|_| jobs) }
    }

    /// Does some work after what was asked for before.
    ///
    /// # Errors
    /// Those of the work, and one where it panicked.
    pub async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ParquetError> + Send + 'static,
    ) -> Result<T, ParquetError> {
        let Some(jobs) = &self.jobs else { return work() };
        let (answer, answered) = oneshot::channel();
        let ended = || ParquetError::General("encoding ended without an answer".to_string());
        jobs.send(Box::new(move || drop(answer.send(work())))).map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn work_is_done_elsewhere_in_order_and_one_that_panics_fails_alone() {
        let encoding = EncodingThread::start();
        let thread = || Ok(std::thread::current().id());
        let first = encoding.work(thread).await.unwrap();
        assert_ne!(first, std::thread::current().id());
        let failed = encoding.work(|| -> Result<(), _> { panic!("it broke") }).await;
        assert!(failed.unwrap_err().to_string().contains("without an answer"));
        assert_eq!(encoding.work(thread).await.unwrap(), first);
    }

    #[tokio::test]
    async fn in_a_runtime_of_one_thread_it_is_done_there() {
        let here = std::thread::current().id();
        assert!(EncodingThread::start().work(move || Ok(std::thread::current().id() == here)).await.unwrap());
    }
}
