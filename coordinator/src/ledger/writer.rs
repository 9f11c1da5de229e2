//! The one thread that owns the ledger. It takes the requests that wait, carries them out in one transaction (group commit) and
//! answers each; under load, one wait for the disk pays for many changes. Signs of life go first, and no transaction is so long that
//! they wait for it much: a fleet that commits faster than the disk takes it must not lose leases for that.

use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot, watch};

use super::{Error, Ledger, Operation, Reply, Request};
use crate::clock::Clock;

/// Requests that wait at most; senders beyond that wait their turn, which slows peers down instead of filling memory.
const QUEUE_REQUESTS: usize = 4_096;
/// Signs of life in one transaction at most.
const BATCH_URGENT_MAX: usize = 1_024;
/// Other work in one transaction, counted in runs: at some 20 µs each it takes about twice as long as waiting for a slow disk does, and no
/// transaction is longer than this by more than one request.
const BATCH_RUNS: usize = 1_000;

/// A request and where its answer goes.
struct Waiting {
    request: Request,
    /// Closed when the asker has gone; the request is carried out all the same.
    answer: oneshot::Sender<Result<Reply, Error>>,
}

/// Asks the ledger; cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    urgent: mpsc::Sender<Waiting>,
    ordinary: mpsc::Sender<Waiting>,
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
    let (urgent, urgent_waiting) = mpsc::channel(QUEUE_REQUESTS);
    let (ordinary, ordinary_waiting) = mpsc::channel(QUEUE_REQUESTS);
    let queue = Queue { urgent: urgent_waiting, ordinary: ordinary_waiting };
    let (changed, changes) = watch::channel(0);
    let (stop, stopped) = mpsc::channel(1);
    (write(ledger, clock, queue, changed, stopped), stop, Handle { urgent, ordinary, changes })
}

impl Handle {
    /// The answer to a request, once it is durable.
    ///
    /// # Errors
    /// If the request is refused, the database fails, or the ledger has shut down.
    pub async fn ask<O: Operation>(&self, operation: O) -> Result<O::Answer, Error> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { request: operation.into(), answer };
        let queue = if waiting.request.is_sign_of_life() { &self.urgent } else { &self.ordinary };
        queue.send(waiting).await.map_err(|_| Error::Closed)?;
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

/// What waits.
struct Queue {
    urgent: mpsc::Receiver<Waiting>,
    ordinary: mpsc::Receiver<Waiting>,
}

impl Queue {
    /// Waits for requests and takes a batch of them; takes none only when the queue is closed and empty.
    async fn take(&mut self, batch: &mut Vec<Waiting>, stopped: &mut mpsc::Receiver<()>) {
        // Ends when the writer is closed (the last sender of `stopped` is gone), or all handles are.
        let mut is_open = !self.ordinary.is_closed();
        while batch.is_empty() {
            tokio::select! {
                biased;
                Some(waiting) = self.urgent.recv() => batch.push(waiting),
                Some(waiting) = self.ordinary.recv() => batch.push(waiting),
                _ = stopped.recv(), if is_open => {
                    self.urgent.close();
                    self.ordinary.close();
                    is_open = false;
                }
                else => return,
            }
        }
        while batch.len() < BATCH_URGENT_MAX
            && let Ok(waiting) = self.urgent.try_recv()
        {
            batch.push(waiting);
        }
        let mut runs = batch.iter().map(|waiting| waiting.request.runs()).sum::<usize>();
        while runs < BATCH_RUNS
            && let Ok(waiting) = self.ordinary.try_recv()
        {
            runs += waiting.request.runs();
            batch.push(waiting);
        }
    }
}

async fn write(
    mut ledger: Box<dyn Ledger>,
    clock: Arc<dyn Clock>,
    mut queue: Queue,
    changed: watch::Sender<u64>,
    mut stopped: mpsc::Receiver<()>,
) {
    let mut batch = Vec::new();
    loop {
        queue.take(&mut batch, &mut stopped).await;
        if batch.is_empty() {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::mpsc as threads;

    use super::super::commit::Commit;
    use super::super::heartbeat::Heartbeat;
    use super::*;
    use crate::clock::SystemClock;

    /// Tells of each batch before it refuses it, and goes on when it is told to.
    struct Recorder {
        batches: threads::Sender<Vec<Request>>,
        go_on: threads::Receiver<()>,
    }

    impl Ledger for Recorder {
        fn transact(&mut self, _: u64, requests: Vec<Request>) -> Vec<Result<Reply, Error>> {
            let replies = requests.iter().map(|_| Err(Error::Closed)).collect();
            self.batches.send(requests).unwrap();
            self.go_on.recv().unwrap();
            replies
        }
    }

    fn commit(runs: usize) -> Commit {
        let runs = (0..runs).map(|run| (run.to_string(), String::new())).collect();
        let (worker, shard, part, sha256) = Default::default();
        Commit { worker, shard, fence: 1, part, size_bytes: 1, sha256, runs, provenance: None }
    }

    #[tokio::test]
    async fn signs_of_life_overtake_work_and_batches_stay_short() {
        let (batches, batch) = threads::channel();
        let (go, go_on) = threads::channel();
        let (writer, handle) = start(Box::new(Recorder { batches, go_on }), Arc::new(SystemClock)).unwrap();
        let mut asked = Vec::new();
        let mut ask = |request: Request| {
            let (answer, answered) = oneshot::channel();
            let queue = if request.is_sign_of_life() { &handle.urgent } else { &handle.ordinary };
            queue.try_send(Waiting { request, answer }).unwrap_or_else(|_| panic!("the queue has room"));
            asked.push(answered);
        };
        ask(commit(1).into());
        // The first batch is at work while the rest arrives.
        assert_eq!(batch.recv().unwrap().len(), 1);
        for _ in 0..5 {
            ask(commit(BATCH_RUNS / 2).into());
        }
        ask(Heartbeat {
            worker: "a".to_string(),
            session: String::new(),
            held: Vec::new(),
            in_training: BTreeMap::new(),
        }
        .into());
        let mut commits = Vec::new();
        for beats in [1, 0, 0] {
            go.send(()).unwrap();
            let batch = batch.recv().unwrap();
            assert_eq!(batch.iter().filter(|request| request.is_sign_of_life()).count(), beats);
            commits.push(batch.len() - beats);
        }
        assert_eq!(commits, [2, 2, 1]);
        go.send(()).unwrap();
        for answered in asked {
            assert!(answered.await.unwrap().is_err());
        }
        writer.close().await;
    }
}
