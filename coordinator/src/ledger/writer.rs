//! The one thread that owns the ledger. It takes all requests that wait, carries them out in one transaction (group
//! commit) and answers each; under load, one wait for the disk pays for many changes.

use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot, watch};

use super::{Error, Ledger, Operation, Reply, Request};
use crate::clock::Clock;

/// Requests that wait at most; senders beyond that wait their turn, which slows peers down instead of filling memory.
const QUEUE_REQUESTS: usize = 4_096;
/// Requests carried out in one transaction at most, so that no one waits long for a full batch.
const BATCH_REQUESTS_MAX: usize = 1_024;

/// A request and where its answer goes.
struct Waiting {
    request: Request,
    /// Closed when the asker has gone; the request is carried out all the same.
    answer: oneshot::Sender<Result<Reply, Error>>,
}

/// Asks the ledger; cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    requests: mpsc::Sender<Waiting>,
    /// Counts the batches that changed what some study's status says.
    changes: watch::Receiver<u64>,
}

/// What writes, for whoever ends it.
#[derive(Debug)]
pub struct Writer {
    runs: Runs,
    stop: mpsc::Sender<()>,
}

#[derive(Debug)]
enum Runs {
    Thread(JoinHandle<()>),
    Task(tokio::task::JoinHandle<()>),
}

/// Starts the thread that owns `ledger`.
///
/// # Errors
/// If the system gives no thread.
pub fn start(ledger: Box<dyn Ledger>, clock: Arc<dyn Clock>) -> std::io::Result<(Writer, Handle)> {
    let (writing, stop, handle) = begin(ledger, clock);
    let run = move || futures::executor::block_on(writing);
    let thread = std::thread::Builder::new().name("ledger".to_string()).spawn(run)?;
    Ok((Writer { runs: Runs::Thread(thread), stop }, handle))
}

/// As [`start`], as a task of the runtime at hand, which stands still while the database works: for simulations, in which no thread
/// may decide the order of events.
pub fn start_task(ledger: Box<dyn Ledger>, clock: Arc<dyn Clock>) -> (Writer, Handle) {
    let (writing, stop, handle) = begin(ledger, clock);
    (Writer { runs: Runs::Task(tokio::spawn(writing)), stop }, handle)
}

/// What is to be run, its end's switch, and the way to ask it.
fn begin(
    ledger: Box<dyn Ledger>,
    clock: Arc<dyn Clock>,
) -> (impl Future<Output = ()> + Send + 'static, mpsc::Sender<()>, Handle) {
    let (requests, waiting) = mpsc::channel(QUEUE_REQUESTS);
    let (changed, changes) = watch::channel(0);
    let (stop, stopped) = mpsc::channel(1);
    (write(ledger, clock, waiting, changed, stopped), stop, Handle { requests, changes })
}

impl Handle {
    /// The answer to a request, once it is durable.
    ///
    /// # Errors
    /// If the request is refused, the database fails, or the ledger has shut down.
    pub async fn ask<O: Operation>(&self, operation: O) -> Result<O::Answer, Error> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { request: operation.into(), answer };
        self.requests.send(waiting).await.map_err(|_| Error::Closed)?;
        let reply = answered.await.map_err(|_| Error::Closed)??;
        O::answer(reply).ok_or_else(|| Error::unreadable("answer to this request", "another operation's"))
    }

    /// Wakes whenever a batch has changed what some study's status says.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }
}

impl Writer {
    /// Carries out what still waits, then closes the ledger and returns. Later requests are refused.
    pub async fn close(self) {
        let Writer { runs, stop } = self;
        drop(stop);
        let ended_well = match runs {
            Runs::Thread(thread) => matches!(tokio::task::spawn_blocking(move || thread.join()).await, Ok(Ok(()))),
            Runs::Task(task) => task.await.is_ok(),
        };
        if !ended_well {
            tracing::error!("the ledger's thread ended badly; what it had answered is durable");
        }
    }
}

async fn write(
    mut ledger: Box<dyn Ledger>,
    clock: Arc<dyn Clock>,
    mut waiting: mpsc::Receiver<Waiting>,
    changed: watch::Sender<u64>,
    mut stopped: mpsc::Receiver<()>,
) {
    let mut batch = Vec::new();
    loop {
        // Ends when the writer is closed (the last sender of `stopped` is gone), or all handles are.
        let received = tokio::select! {
            biased;
            received = waiting.recv_many(&mut batch, BATCH_REQUESTS_MAX) => received,
            _ = stopped.recv() => {
                waiting.close();
                waiting.recv_many(&mut batch, BATCH_REQUESTS_MAX).await
            }
        };
        if received == 0 {
            return;
        }
        let (requests, answers): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|waiting| (waiting.request, waiting.answer)).unzip();
        let replies = ledger.transact(clock.now_ms(), requests);
        if replies.iter().flatten().any(Reply::changes_studies) {
            changed.send_modify(|count| *count += 1);
        }
        for (answer, reply) in answers.into_iter().zip(replies) {
            // An asker that has gone does not want its answer any more.
            drop(answer.send(reply));
        }
    }
}
