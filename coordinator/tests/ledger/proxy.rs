//! A way to PostgreSQL that can be cut at the worst moment: between a `COMMIT` and its answer.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

/// The message that asks the server to commit: a simple query, its length, its text (PostgreSQL's documentation, 55.7).
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// Where to cut the next connection that commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The server never hears of the commit.
    BeforeCommit,
    /// The server has committed, and its answer is lost.
    AfterCommit,
}

const NO_CUT: u8 = 0;
const BEFORE: u8 = 1;
const AFTER: u8 = 2;

/// A proxy on a port of its own, until the test ends.
pub struct Proxy {
    port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    cut: AtomicU8,
    /// Connections are dropped at once.
    down: AtomicBool,
    /// All that are open.
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Starts a proxy before the server at this address.
    pub fn start(server: (String, u16)) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if !shared.down.load(Ordering::SeqCst) {
                    forward(&client, &TcpStream::connect(&server).unwrap(), &shared);
                }
            }
        });
        Proxy { port, state }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts the next connection that commits.
    pub fn cut(&self, cut: Cut) {
        self.state.cut.store(if cut == Cut::BeforeCommit { BEFORE } else { AFTER }, Ordering::SeqCst);
    }

    /// Cuts nothing.
    pub fn spare(&self) {
        self.state.cut.store(NO_CUT, Ordering::SeqCst);
    }

    /// Whether the cut that was asked for last has been made.
    pub fn has_cut(&self) -> bool {
        self.state.cut.load(Ordering::SeqCst) == NO_CUT
    }

    /// From now on new connections are dropped.
    pub fn go_down(&self) {
        self.state.down.store(true, Ordering::SeqCst);
    }

    /// New connections are forwarded again.
    pub fn come_up(&self) {
        self.state.down.store(false, Ordering::SeqCst);
    }

    /// Cuts everything that is open.
    pub fn cut_all(&self) {
        for stream in self.state.open.lock().unwrap().drain(..) {
            close(&stream);
        }
    }
}

fn close(stream: &TcpStream) {
    // It may be closed already.
    drop(stream.shutdown(Shutdown::Both));
}

fn forward(client: &TcpStream, server: &TcpStream, state: &Arc<State>) {
    let clone = |stream: &TcpStream| stream.try_clone().unwrap();
    // As PostgreSQL and its clients do: a request is not held back until there is more of it.
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    state.open.lock().unwrap().extend([clone(client), clone(server)]);
    let lost = Arc::new(AtomicBool::new(false));
    let (mut from, mut to, flag, shared) = (clone(client), clone(server), lost.clone(), state.clone());
    std::thread::spawn(move || {
        copy(&mut from, &mut to, |bytes| {
            if !bytes.ends_with(COMMIT) {
                return true;
            }
            let cut = shared.cut.swap(NO_CUT, Ordering::SeqCst);
            flag.store(cut == AFTER, Ordering::SeqCst);
            cut != BEFORE
        });
    });
    let (mut from, mut to) = (clone(server), clone(client));
    std::thread::spawn(move || copy(&mut from, &mut to, |_| !lost.load(Ordering::SeqCst)));
}

/// Copies until an end, or until `passes` says no; then both are closed.
fn copy(from: &mut TcpStream, to: &mut TcpStream, mut passes: impl FnMut(&[u8]) -> bool) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if !passes(&buffer[..read]) || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    close(from);
    close(to);
}
