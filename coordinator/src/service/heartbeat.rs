//! A worker's stream of heartbeats: each renews the leases it names and is answered once.

use std::sync::Arc;

use curvefleet_proto::limits::{MAX_HELD_PER_MESSAGE, MAX_NAME_BYTES, MAX_RUNS_PER_SHARD};
use curvefleet_proto::v1::{HeartbeatRequest, HeartbeatResponse, Held};
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::worker::{lease, worker_name};
use super::{Answers, Core, answers, check, refuse, stopped};
use crate::access::Caller;
use crate::ledger::heartbeat::{Heartbeat, InTraining, Renewed};
use crate::rates::Training;

/// Answers a stream of heartbeats until it ends, something in it is wrong, or the coordinator stops.
pub(super) fn start(
    core: Arc<Core>,
    caller: Caller,
    mut requests: Streaming<HeartbeatRequest>,
) -> Answers<HeartbeatResponse> {
    let (sender, stream) = answers();
    tokio::spawn(async move {
        let stopped = stopped(core.stopping.clone());
        let end = tokio::select! {
            biased;
            end = answer_all(&core, &caller, &mut requests, &sender) => end,
            status = caller.ended() => Err(status),
            () = stopped => Err(refuse::stopping()),
        };
        if let Err(status) = end {
            // A worker that has gone does not want to know.
            drop(sender.send(Err(status)).await);
        }
    });
    stream
}

async fn answer_all(
    core: &Core,
    caller: &Caller,
    requests: &mut Streaming<HeartbeatRequest>,
    sender: &mpsc::Sender<Result<HeartbeatResponse, Status>>,
) -> Result<(), Status> {
    while let Some(request) = requests.message().await? {
        caller.again()?;
        let response = answer(core, caller, request).await?;
        if sender.send(Ok(response)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

async fn answer(core: &Core, caller: &Caller, request: HeartbeatRequest) -> Result<HeartbeatResponse, Status> {
    let HeartbeatRequest { worker, held, epochs_per_second, session } = request;
    let worker = worker_name(caller, &worker)?;
    check::text("the worker's session", &session, MAX_NAME_BYTES)?;
    check::count("the heartbeat", held.len(), MAX_HELD_PER_MESSAGE, "leases")?;
    let leases = held.iter().cloned().map(lease).collect::<Result<Vec<_>, _>>()?;
    let in_training = held.iter().filter_map(|held| in_training(held).transpose()).collect::<Result<_, _>>()?;
    let heartbeat = Heartbeat { worker: worker.clone(), session, held: leases, in_training };
    let heard = core.ledger.ask(heartbeat).await.map_err(refuse::ledger)?;
    let (mut revoked, mut hand_back, mut wanted, mut training) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (held, renewed) in held.into_iter().zip(heard.leases) {
        let Some(Renewed { study, hand_back: is_unwanted, wanted: is_wanted }) = renewed else {
            revoked.push(held.shard);
            continue;
        };
        if is_unwanted {
            hand_back.push(held.shard.clone());
        }
        if is_wanted {
            wanted.push(held.shard.clone());
        }
        if !held.run.is_empty() {
            training.push(Training {
                study,
                shard: held.shard,
                run: held.run,
                epochs: held.epoch,
                train_loss: held.train_loss,
            });
        }
    }
    core.rates.note(&worker, core.clock.now_ms(), epochs_per_second, training);
    Ok(HeartbeatResponse {
        revoked,
        register_again: !heard.registered,
        hand_back,
        drained: heard.drained,
        superseded: heard.superseded,
        wanted,
    })
}

/// What a lease has in training, by the lease's shard.
fn in_training(held: &Held) -> Result<Option<(String, InTraining)>, Status> {
    check::count("the heartbeat", held.training.len(), MAX_RUNS_PER_SHARD as usize, "runs of a shard")?;
    let runs = held.training.iter().map(|run| check::run_id(run)).collect::<Result<Vec<_>, _>>()?;
    let training = InTraining { runs, has_epoch: held.has_epoch };
    Ok((!training.runs.is_empty()).then(|| (held.shard.clone(), training)))
}
