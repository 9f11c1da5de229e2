//! A faulty network: a way to a server on loopback that can be cut, swallow bytes for a while, and lose answers.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the way does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Bytes pass.
    Fair,
    /// Who connects is reset at once.
    Down,
    /// Bytes are taken and not handed on, in both directions, until the weather changes.
    Hole,
    /// Requests arrive; the first byte of an answer resets the connection.
    Deaf,
}

/// A way to one server, for as long as the test process lives.
pub struct Proxy {
    port: u16,
    state: Arc<State>,
}

struct State {
    server: Mutex<SocketAddr>,
    weather: watch::Sender<Weather>,
    /// Counts the times that everything open was cut.
    cuts: watch::Sender<u64>,
    /// Counts connections, and pieces that came from clients.
    asked: AtomicU64,
}

impl Proxy {
    /// A way to the server at this address.
    pub fn start(server: SocketAddr) -> Proxy {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            server: Mutex::new(server),
            weather: watch::channel(Weather::Fair).0,
            cuts: watch::channel(0).0,
            asked: AtomicU64::new(0),
        });
        let shared = state.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    let (client, _) = listener.accept().await.unwrap();
                    tokio::spawn(connect(client, shared.clone()));
                }
            });
        });
        Proxy { port, state }
    }

    /// Where clients find the server.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The server has moved.
    pub fn lead_to(&self, server: SocketAddr) {
        *self.state.server.lock().unwrap() = server;
    }

    pub fn set(&self, weather: Weather) {
        self.state.weather.send_replace(weather);
    }

    /// Resets every connection that is open.
    pub fn cut(&self) {
        self.state.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// How often clients have tried to reach the server: connections, and pieces of requests.
    pub fn asked(&self) -> u64 {
        self.state.asked.load(Ordering::Relaxed)
    }
}

async fn connect(client: TcpStream, state: Arc<State>) {
    state.asked.fetch_add(1, Ordering::Relaxed);
    // A socket that is dropped resets its connection, as a broken network does, instead of ending it properly.
    client.set_zero_linger().unwrap();
    let server = *state.server.lock().unwrap();
    if *state.weather.borrow() == Weather::Down {
        return;
    }
    let mut cuts = state.cuts.subscribe();
    let Ok(server) = TcpStream::connect(server).await else { return };
    server.set_zero_linger().unwrap();
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = carry(from_client, to_server, &state, Direction::Asking) => {}
        () = carry(from_server, to_client, &state, Direction::Answering) => {}
        _ = cuts.changed() => {}
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Asking,
    Answering,
}

/// Carries bytes until one end closes, or an answer is to be lost.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State, direction: Direction) {
    let mut weather = state.weather.subscribe();
    let mut held = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let now = *weather.borrow_and_update();
        if now != Weather::Hole {
            if now == Weather::Deaf && direction == Direction::Answering && !held.is_empty() {
                return;
            }
            if to.write_all(&held).await.is_err() {
                return;
            }
            held.clear();
        }
        tokio::select! {
            read = from.read(&mut buffer) => {
                let Ok(read @ 1..) = read else { return };
                held.extend_from_slice(&buffer[..read]);
                if direction == Direction::Asking {
                    state.asked.fetch_add(1, Ordering::Relaxed);
                }
            }
            changed = weather.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}
