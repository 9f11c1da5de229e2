//! The network: calls of gRPC as their messages, which take their time, arrive twice, or not at all. A road that is cut keeps what is on
//! it until it is mended, so that messages arrive long after their sender has given up.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use curvefleet_proto::v1::{CommitRequest, CommitResponse};
use futures::future::BoxFuture;
use http_body::Frame;
use http_body_util::BodyExt as _;
use prost::Message as _;
use tokio::sync::{mpsc, oneshot};
use tonic::body::Body;
use tonic::codegen::http;
use tonic::{Code, Status};

use super::scene::{Scene, lock};

/// Bytes before each message of gRPC: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// From a client to a server, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Road {
    pub client: usize,
    pub server: usize,
}

/// A piece of a body.
#[derive(Debug, Clone)]
enum Piece {
    Data(Bytes),
    Trailers(http::HeaderMap),
    End,
    /// The connection broke.
    Broken,
}

enum Parcel {
    Open(Box<http::Request<Body>>),
    Up(Piece),
    Head(Box<http::response::Parts>),
    Down(Piece),
}

/// A call that arrives at a server.
pub struct Incoming {
    pub call: u64,
    pub request: http::Request<Body>,
}

struct Call {
    road: Road,
    /// The server's life that took it.
    taken_by: Option<u32>,
    up: Option<mpsc::UnboundedSender<Piece>>,
    head: Option<oneshot::Sender<http::response::Parts>>,
    down: Option<mpsc::UnboundedSender<Piece>>,
    /// When the last piece of each direction arrives: pieces keep their order.
    last_up_ms: u64,
    last_down_ms: u64,
    /// Its server is gone, and nobody says so.
    is_dead: bool,
}

struct Server {
    life: u32,
    inbox: mpsc::UnboundedSender<Incoming>,
}

pub struct Network {
    calls: BTreeMap<u64, Call>,
    calls_so_far: u64,
    /// By when they arrive, and in the order they were sent.
    parcels: BTreeMap<(u64, u64), (u64, Parcel)>,
    parcels_so_far: u64,
    /// On roads that are cut.
    held: Vec<(u64, Parcel)>,
    cut: BTreeSet<Road>,
    servers: Vec<Option<Server>>,
}

impl Network {
    pub fn new(servers: usize) -> Network {
        Network {
            calls: BTreeMap::new(),
            calls_so_far: 0,
            parcels: BTreeMap::new(),
            parcels_so_far: 0,
            held: Vec::new(),
            cut: BTreeSet::new(),
            servers: (0..servers).map(|_| None).collect(),
        }
    }

    pub fn cut(&mut self, road: Road) {
        self.cut.insert(road);
    }

    pub fn is_cut(&self, road: Road) -> bool {
        self.cut.contains(&road)
    }

    /// Mends a road; what was held on it arrives now.
    pub fn mend(&mut self, road: Road, now_ms: u64) {
        self.cut.remove(&road);
        for (call, parcel) in std::mem::take(&mut self.held) {
            self.put(now_ms, call, parcel);
        }
    }

    /// A server listens.
    pub fn listen(&mut self, server: usize, life: u32) -> mpsc::UnboundedReceiver<Incoming> {
        let (inbox, incoming) = mpsc::unbounded_channel();
        self.servers[server] = Some(Server { life, inbox });
        incoming
    }

    /// A server is gone. Its clients' connections break, or, if it goes silently, stay as they are.
    pub fn server_gone(&mut self, server: usize, silently: bool) {
        self.servers[server] = None;
        let calls: Vec<u64> =
            self.calls.iter().filter(|(_, call)| call.road.server == server).map(|(id, _)| *id).collect();
        for id in calls {
            if silently {
                let call = self.calls.get_mut(&id).unwrap();
                call.up = None;
                call.is_dead = call.taken_by.is_some();
            } else {
                self.break_call(id);
            }
        }
    }

    /// A client is gone. What it has sent is on its way all the same.
    pub fn client_gone(&mut self, client: usize, silently: bool, now_ms: u64) {
        let calls: Vec<u64> =
            self.calls.iter().filter(|(_, call)| call.road.client == client).map(|(id, _)| *id).collect();
        for id in calls {
            let call = self.calls.get_mut(&id).unwrap();
            call.head = None;
            call.down = None;
            let at_ms = call.last_up_ms.max(now_ms);
            if !silently {
                self.put(at_ms, id, Parcel::Up(Piece::Broken));
            }
        }
    }

    fn break_call(&mut self, id: u64) {
        let Some(call) = self.calls.remove(&id) else { return };
        for end in [call.up, call.down].into_iter().flatten() {
            // Nobody may be there any more.
            drop(end.send(Piece::Broken));
        }
    }

    fn put(&mut self, at_ms: u64, call: u64, parcel: Parcel) {
        self.parcels_so_far += 1;
        self.parcels.insert((at_ms, self.parcels_so_far), (call, parcel));
    }

    /// Delivers what arrives by now.
    pub fn deliver(&mut self, scene: &Scene) {
        while let Some(entry) = self.parcels.first_entry().filter(|entry| entry.key().0 <= scene.now_ms()) {
            let (id, parcel) = entry.remove();
            let Some(call) = self.calls.get(&id) else { continue };
            if self.cut.contains(&call.road) {
                self.held.push((id, parcel));
            } else if !call.is_dead {
                self.hand_over(scene, id, parcel);
            }
        }
    }

    fn hand_over(&mut self, scene: &Scene, id: u64, parcel: Parcel) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        match parcel {
            Parcel::Open(request) => match &self.servers[call.road.server] {
                Some(server) => {
                    call.taken_by = Some(server.life);
                    if server.inbox.send(Incoming { call: id, request: *request }).is_err() {
                        call.is_dead = true;
                    }
                }
                None if scene.chance("network", 300) => call.is_dead = true,
                None => self.break_call(id),
            },
            Parcel::Up(piece) => {
                // A server may have ended the call.
                let _ = call.up.as_ref().map(|up| up.send(piece));
            }
            Parcel::Head(parts) => {
                let is_heard = call.head.take().is_some_and(|head| head.send(*parts).is_ok());
                if !is_heard {
                    call.down = None;
                }
            }
            Parcel::Down(piece) => {
                let is_end = matches!(piece, Piece::End);
                let is_heard = call.down.as_ref().is_some_and(|down| down.send(piece).is_ok());
                if is_end {
                    self.calls.remove(&id);
                } else if !is_heard {
                    self.break_call(id);
                }
            }
        }
    }

    /// Sends from the server's side of a call.
    fn send_down(&mut self, scene: &Scene, id: u64, parcel: Parcel) {
        let latency = latency(scene);
        if let Some(call) = self.calls.get_mut(&id) {
            call.last_down_ms = call.last_down_ms.max(scene.now_ms() + latency);
            let at_ms = call.last_down_ms;
            self.put(at_ms, id, parcel);
        }
    }

    fn send_up(&mut self, scene: &Scene, id: u64, parcel: Parcel) {
        let latency = latency(scene);
        if let Some(call) = self.calls.get_mut(&id) {
            call.last_up_ms = call.last_up_ms.max(scene.now_ms() + latency);
            let at_ms = call.last_up_ms;
            self.put(at_ms, id, parcel);
        }
    }

    fn call(&mut self, road: Road, up: Option<mpsc::UnboundedSender<Piece>>) -> u64 {
        self.calls_so_far += 1;
        let call =
            Call { road, taken_by: None, up, head: None, down: None, last_up_ms: 0, last_down_ms: 0, is_dead: false };
        self.calls.insert(self.calls_so_far, call);
        self.calls_so_far
    }
}

/// Mostly short; in a storm sometimes longer than a lease.
fn latency(scene: &Scene) -> u64 {
    match () {
        () if scene.mishap("network", 5) => scene.between("network", 1_000, 10_000),
        () if scene.mishap("network", 50) => scene.between("network", 100, 1_000),
        () => scene.between("network", 1, 40),
    }
}

/// Serves the calls of a client to a server.
#[derive(Clone)]
pub struct Wire {
    pub scene: Arc<Scene>,
    pub road: Road,
}

impl tower::Service<http::Request<Body>> for Wire {
    type Response = http::Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let wire = self.clone();
        let is_stream = request.uri().path().ends_with("/Heartbeat");
        Box::pin(async move { if is_stream { wire.stream(request).await } else { wire.unary(request).await } })
    }
}

fn broken() -> Status {
    Status::unavailable("the connection broke")
}

impl Wire {
    async fn unary(self, request: http::Request<Body>) -> Result<http::Response<Body>, Status> {
        let Wire { scene, road } = self;
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_string();
        let sent = body.collect().await?.to_bytes();
        if scene.mishap("network", 15) {
            // It never arrives; the client finds out by its deadline.
            return std::future::pending().await;
        }
        let (answered, mut pieces) = {
            let mut network = lock(&scene.network);
            if network.is_cut(road) && scene.chance("network", 300) {
                drop(network);
                return Err(broken());
            }
            let id = network.call(road, None);
            let (head, answered) = oneshot::channel();
            let (down, pieces) = mpsc::unbounded_channel();
            let call = network.calls.get_mut(&id).unwrap();
            (call.head, call.down) = (Some(head), Some(down));
            network.send_up(&scene, id, Parcel::Open(Box::new(whole(&parts, sent.clone()))));
            if scene.mishap("network", 30) {
                // Once more, perhaps long after; nobody hears the answer.
                let ghost = network.call(road, None);
                let at_ms = scene.now_ms() + scene.between("network", 1, 8_000);
                network.put(at_ms, ghost, Parcel::Open(Box::new(whole(&parts, sent.clone()))));
            }
            (answered, pieces)
        };
        let parts = answered.await.map_err(|_| broken())?;
        let mut received = Vec::new();
        loop {
            match pieces.recv().await {
                Some(Piece::End) => break,
                Some(Piece::Broken) | None => return Err(broken()),
                Some(piece) => received.push(piece),
            }
        }
        if scene.mishap("network", 15) {
            return Err(broken());
        }
        witness(&scene, road, &path, &sent, &received);
        let (sender, receiver) = mpsc::unbounded_channel();
        for piece in received.into_iter().chain([Piece::End]) {
            drop(sender.send(piece));
        }
        Ok(http::Response::from_parts(parts, Body::new(Pieces(receiver))))
    }

    async fn stream(self, request: http::Request<Body>) -> Result<http::Response<Body>, Status> {
        let Wire { scene, road } = self;
        let (parts, mut body) = request.into_parts();
        let (up, pieces_up) = mpsc::unbounded_channel();
        let (head, answered) = oneshot::channel();
        let (down, pieces_down) = mpsc::unbounded_channel();
        let id = {
            let mut network = lock(&scene.network);
            let id = network.call(road, Some(up));
            let call = network.calls.get_mut(&id).unwrap();
            (call.head, call.down) = (Some(head), Some(down));
            let request = http::Request::from_parts(parts, Body::new(Pieces(pieces_up)));
            network.send_up(&scene, id, Parcel::Open(Box::new(request)));
            id
        };
        let pump = scene.clone();
        tokio::spawn(async move {
            while let Some(Ok(frame)) = body.frame().await {
                if let Ok(data) = frame.into_data() {
                    lock(&pump.network).send_up(&pump, id, Parcel::Up(Piece::Data(data)));
                }
            }
            lock(&pump.network).send_up(&pump, id, Parcel::Up(Piece::End));
        });
        let parts = answered.await.map_err(|_| broken())?;
        Ok(http::Response::from_parts(parts, Body::new(Pieces(pieces_down))))
    }
}

/// A request with its body whole.
fn whole(parts: &http::request::Parts, body: Bytes) -> http::Request<Body> {
    let mut request = http::Request::new(Body::new(http_body_util::Full::new(body).map_err(|never| match never {})));
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = parts.uri.clone();
    *request.headers_mut() = parts.headers.clone();
    *request.version_mut() = http::Version::HTTP_2;
    request
}

/// Takes note of what a client was told.
fn witness(scene: &Scene, road: Road, path: &str, sent: &Bytes, received: &[Piece]) {
    let method = path.rsplit('/').next().unwrap_or(path);
    let data = received.iter().find_map(|piece| match piece {
        Piece::Data(data) => Some(data.clone()),
        _ => None,
    });
    scene.note(format!("client {} is answered {method}: {}", road.client, data.is_some()));
    if let (Some(data), "Commit") = (data, method) {
        let accepted = CommitResponse::decode(&data[PREFIX..]).unwrap().accepted;
        let commit = CommitRequest::decode(&sent[PREFIX..]).unwrap();
        if accepted {
            lock(&scene.checker).acknowledged(&commit);
        }
    }
}

/// Carries a server's answer to a call back to its client.
pub async fn answer(scene: Arc<Scene>, id: u64, response: http::Response<Body>) {
    let (parts, mut body) = response.into_parts();
    lock(&scene.network).send_down(&scene, id, Parcel::Head(Box::new(parts)));
    while let Some(frame) = body.frame().await {
        let piece = match frame {
            Ok(frame) => match frame.into_data() {
                Ok(data) => Piece::Data(data),
                Err(frame) => frame.into_trailers().map_or(Piece::Broken, Piece::Trailers),
            },
            Err(status) => Piece::Trailers(status_trailers(&status)),
        };
        lock(&scene.network).send_down(&scene, id, Parcel::Down(piece));
    }
    lock(&scene.network).send_down(&scene, id, Parcel::Down(Piece::End));
}

fn status_trailers(status: &Status) -> http::HeaderMap {
    let mut trailers = http::HeaderMap::new();
    let code = if status.code() == Code::Ok { Code::Unknown } else { status.code() };
    trailers.insert("grpc-status", http::HeaderValue::from(code as i32));
    trailers
}

/// A body that arrives piece by piece.
struct Pieces(mpsc::UnboundedReceiver<Piece>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.0.poll_recv(context).map(|piece| match piece {
            Some(Piece::Data(data)) => Some(Ok(Frame::data(data))),
            Some(Piece::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Piece::End) => None,
            Some(Piece::Broken) | None => Some(Err(Status::unavailable("the connection broke"))),
        })
    }
}
