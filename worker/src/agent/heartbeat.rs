//! The stream that keeps leases alive. A worker that cannot reach anyone for the length of a lease gives its leases up by its own
//! monotonic clock, so that it stops working on what may be someone else's by then.

use std::sync::Arc;
use std::time::Duration;

use curvefleet_proto::access::trouble;
use curvefleet_proto::v1::{HeartbeatRequest, HeartbeatResponse, Held, RegisterRequest};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::link::Client;
use super::{Shared, split};

/// An answer that takes longer than this part of a lease is not waited for: time is left to ask again, or someone else.
const LEASE_PARTS: u32 = 3;

/// How long leases and the pauses between heartbeats are.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// A lease without heartbeats.
    pub lease: Duration,
    /// Pause between heartbeats.
    pub interval: Duration,
}

/// Sends heartbeats for ever.
pub async fn keep(shared: Arc<Shared>, registration: RegisterRequest, times: Times) {
    let mut heard = Instant::now();
    let mut trouble = shared.link.trouble();
    loop {
        let before = heard;
        let (client, called) = shared.link.client();
        let ended = one_stream(&shared, client, &registration, times, &mut heard).await.map_err(trouble::clearer);
        if heard > before {
            trouble = shared.link.trouble();
        }
        if ended.is_err() {
            shared.link.move_on(called);
        }
        if let Err(status) = &ended {
            shared.link.has_new_token(status);
        }
        if let Err(status) = &ended
            && trouble.is_news(status)
        {
            tracing::warn!(worker = shared.name, error = status.message(), "heartbeats do not get through");
        }
        if heard.elapsed() > times.lease {
            if let Err(status) = &ended
                && matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied)
            {
                shared.holdings.lose_all();
                shared.end_refused(status.message());
            }
            let lost = shared.holdings.lose_all();
            if lost > 0 {
                tracing::warn!(
                    worker = shared.name,
                    lost,
                    "no coordinator heard for the length of a lease: gave the leases up"
                );
            }
        }
        tokio::time::sleep(trouble.pause().min(times.lease / 4)).await;
    }
}

/// Sends heartbeats until the stream breaks; `heard` is when the last one that was answered was sent.
async fn one_stream(
    shared: &Arc<Shared>,
    mut client: Client,
    registration: &RegisterRequest,
    times: Times,
    heard: &mut Instant,
) -> Result<(), Status> {
    let (sender, receiver) = mpsc::channel(1);
    // Leases are renewed when a heartbeat arrives, which may be as early as when it is sent.
    let mut sent = Instant::now();
    let (mut number, mut held) = send(shared, &sender, 0.0).await?;
    let answer_within = times.lease / LEASE_PARTS;
    let opened = tokio::time::timeout(answer_within, client.heartbeat(ReceiverStream::new(receiver))).await;
    let mut replies = opened.map_err(|_| Status::deadline_exceeded("the stream did not open"))??.into_inner();
    let mut before = (Instant::now(), shared.holdings.epochs());
    let mut rate = 0.0;
    loop {
        let reply = tokio::time::timeout(answer_within, replies.next()).await;
        let reply =
            reply.map_err(|_| Status::deadline_exceeded("a heartbeat was not answered"))?.ok_or_else(closed)??;
        *heard = sent;
        shared.holdings.answered(number);
        obey(shared, registration, &held, reply).await;
        tokio::select! {
            () = tokio::time::sleep(times.interval) => {}
            () = shared.holdings.news() => {}
        }
        let now = (Instant::now(), shared.holdings.epochs());
        // A heartbeat out of turn comes after too short a time to tell.
        if now.0 - before.0 >= times.interval / 2 {
            rate = (now.1 - before.1) as f64 / (now.0 - before.0).as_secs_f64().max(1e-3);
            before = now;
        }
        sent = Instant::now();
        (number, held) = send(shared, &sender, rate).await?;
    }
}

/// Obeys the answer to a heartbeat that named the leases `held`.
async fn obey(shared: &Arc<Shared>, registration: &RegisterRequest, held: &[Held], reply: HeartbeatResponse) {
    for lease in held.iter().filter(|lease| reply.revoked.contains(&lease.shard)) {
        if shared.holdings.lose(&lease.shard, lease.fence) {
            tracing::warn!(
                worker = shared.name,
                shard = lease.shard,
                fence = lease.fence,
                "the lease is not ours any more"
            );
        }
    }
    if reply.superseded {
        shared.holdings.lose_all();
        shared.superseded.send_replace(true);
    }
    for lease in held.iter().filter(|lease| reply.hand_back.contains(&lease.shard)) {
        shared.holdings.hand_back(&lease.shard, lease.fence);
    }
    for lease in held.iter().filter(|lease| reply.wanted.contains(&lease.shard)) {
        split::share(shared, lease);
    }
    if reply.drained {
        shared.holdings.hand_back_all();
    }
    if reply.register_again
        && let Err(error) = shared.link.register(registration).await
    {
        tracing::warn!(worker = shared.name, error, "the coordinator does not know us and refuses to");
    }
}

/// Sends a heartbeat; gives its number and the leases that it names.
async fn send(
    shared: &Shared,
    sender: &mpsc::Sender<HeartbeatRequest>,
    epochs_per_second: f64,
) -> Result<(u64, Vec<Held>), Status> {
    let number = shared.holdings.sending();
    let held = shared.holdings.held();
    let (worker, session) = (shared.name.clone(), shared.session.clone());
    let beat = HeartbeatRequest { worker, held: held.clone(), epochs_per_second, session };
    sender.send(beat).await.map_err(|_| closed())?;
    Ok((number, held))
}

fn closed() -> Status {
    Status::unavailable("the coordinator closed the stream")
}
