//! Starts all parts of a coordinator, and stops them politely.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use curvefleet_proto::access::Access;
use curvefleet_proto::limits::MAX_WATCHERS;
use curvefleet_proto::store::Store;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::service::Routes;
use tower_layer::Layer as _;
use tower_service::Service as _;

use crate::access::guard::{Guard, Guarded};
use crate::access::rate::Rates as Limits;
use crate::access::secret::Secret;
use crate::access::{GuardLayer, Tokens, tls};
use crate::clock::{Clock, SystemClock};
use crate::compact::Compactor;
use crate::encoding::EncodingThread;
use crate::entering;
use crate::error::Error;
use crate::ledger::expire::Expire;
use crate::ledger::postgres::{DatabaseUrl, PostgresLedger, Time};
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::writer::{self, Writer};
use crate::ledger::{Handle, Ledger, Settings};
use crate::manifest::Manifests;
use crate::options::Options;
use crate::rates::Rates;
use crate::server::{self, Health};
use crate::service::{Core, stopped};

/// How long a stopping coordinator waits for open requests, and then for the store to take the manifests. Whatever is not
/// done by then is done after the next start.
const GRACE: Duration = Duration::from_secs(10);
/// Expired leases are looked for this many times per lease (leasing looks, too; this keeps listings true), and so are studies whose
/// coordinator was killed before all of them was entered.
const SWEEPS_PER_LEASE: u32 = 4;

/// Starts coordinators.
#[derive(Debug)]
pub struct Coordinator;

/// A coordinator that runs. Dropped without [`Running::shutdown`], it ends like after a power cut, which loses nothing.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    has_tls: bool,
    /// Of a private coordinator.
    own_token: Option<String>,
    store: Store,
    /// The ledger's file or database, for people.
    ledger_place: String,
    handle: Handle,
    manifests: Arc<Manifests>,
    health: Health,
    /// Turns true once: tells streams and tasks to end.
    stop: watch::Sender<bool>,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
    tasks: Vec<JoinHandle<()>>,
    writer: Writer,
}

impl Coordinator {
    /// Starts a coordinator and returns once it takes requests.
    ///
    /// # Errors
    /// If an option does not fit, the store or ledger cannot be opened, or the address cannot be listened on.
    pub async fn start(options: Options) -> Result<Running, Error> {
        Coordinator::start_at(options, Arc::new(SystemClock)).await
    }

    /// As [`Coordinator::start`], by a clock of the caller's.
    ///
    /// # Errors
    /// As [`Coordinator::start`].
    pub async fn start_at(options: Options, clock: Arc<dyn Clock>) -> Result<Running, Error> {
        let address = listen_address(&options.listen).await?;
        let tls = tls::acceptor(options.tls())?;
        let is_open = !options.insecure && !is_loopback(address.ip());
        if is_open && tls.is_none() {
            return Err(Error::NoTls { address });
        }
        // First, so that a port in use leaves no new folder and no new ledger behind.
        let listener = TcpListener::bind(address).await.map_err(|source| Error::Bind { address, source })?;
        let store = Store::open(&options.store, environment())?;
        let settings = options.settings();
        let system = |what| move |source| Error::System { what, source };
        let (opening, file, by) = (options.database.clone(), options.ledger_file(&store), clock.clone());
        let holds_ledger = opening.is_none() && store.is_folder() && file.starts_with(store.url());
        let opened = tokio::task::spawn_blocking(move || open_ledger(opening, &file, settings, &*by)).await;
        let (ledger, ledger_place) = opened.map_err(|error| system("a thread")(std::io::Error::other(error)))??;
        let address = listener.local_addr().map_err(system("the address of its socket"))?;
        let (writer, handle) = writer::start(ledger, clock.clone()).map_err(system("a thread"))?;
        let own = if options.private { Some(Secret::new().map_err(system("random bytes"))?) } else { None };
        let own_token = own.as_ref().map(|own| own.text.clone());
        let tokens = Arc::new(Tokens::new(handle.clone(), clock.clone()));
        tokens.read().await.map_err(Error::Tokens)?;
        if is_open && !tokens.are_there() && own.is_none() {
            return Err(Error::NoTokens { address, ledger: ledger_place });
        }
        warn_of_tokens(&tokens, tls.is_some(), address);
        let rates = Arc::new(Limits::new(options.requests_per_second));
        let guard = GuardLayer(Arc::new(Guard { tokens: tokens.clone(), rates, own }));
        if options.expire_leases_at_start {
            // Should the database fail here, the leases expire at their deadlines.
            if let Err(error) = handle.ask(Expire { all: true }).await {
                tracing::warn!(%error, "cannot end the leases of an earlier process");
            }
        }
        let (stop, stopping) = watch::channel(false);
        let has_tls = tls.is_some();
        let core = begin(handle.clone(), store.clone(), holds_ledger, tokens, settings, clock, &stopping);
        let (core, tasks) = core;
        let (health, served) = server::serve(listener, tls, guard, core.clone(), stopped(stopping)).await?;
        let server = tokio::spawn(served);
        let manifests = core.manifests.clone();
        Ok(Running {
            address,
            has_tls,
            own_token,
            store,
            ledger_place,
            handle,
            manifests,
            health,
            stop,
            server,
            tasks,
            writer,
        })
    }
}

/// The services' core, and the tasks that look after leases, manifests and parts until `stopping`.
fn begin(
    handle: Handle,
    store: Store,
    holds_ledger: bool,
    tokens: Arc<Tokens>,
    settings: Settings,
    clock: Arc<dyn Clock>,
    stopping: &watch::Receiver<bool>,
) -> (Arc<Core>, Vec<JoinHandle<()>>) {
    let encoding = EncodingThread::start();
    let manifests = Arc::new(Manifests::new(handle.clone(), store.clone(), encoding.clone()));
    let tasks = vec![
        tokio::spawn(sweep(handle.clone(), settings, stopping.clone())),
        tokio::spawn(entering::keep(handle.clone(), sweep_interval(settings), stopping.clone())),
        tokio::spawn({
            let (tokens, stopping) = (tokens.clone(), stopping.clone());
            async move { tokens.keep(stopping).await }
        }),
        tokio::spawn({
            let (manifests, stopping) = (manifests.clone(), stopping.clone());
            async move { manifests.keep(stopping).await }
        }),
        tokio::spawn({
            let (compactor, stopping) = (Compactor::new(handle.clone(), store.clone(), encoding), stopping.clone());
            async move { compactor.keep(stopping).await }
        }),
    ];
    let core = Core {
        ledger: handle,
        store,
        holds_ledger,
        tokens,
        manifests,
        rates: Rates::new(settings.lease_ms),
        settings,
        clock,
        watchers: Arc::new(tokio::sync::Semaphore::new(MAX_WATCHERS)),
        stopping: stopping.clone(),
        submitting: tokio::sync::Mutex::new(()),
    };
    (Arc::new(core), tasks)
}

/// A coordinator without a socket: its services are called in its own process. It is all in the runtime that it was started in, and
/// ends with it, as a killed coordinator does.
pub struct Embedded {
    services: Guarded<Routes>,
    /// Keeps the services from ending.
    _stop: watch::Sender<bool>,
    _writer: Writer,
}

impl Coordinator {
    /// Starts a coordinator without a socket on the runtime at hand, over a ledger and a store that are open already, by this clock.
    /// Clients cannot be told apart, and may ask as often as they like.
    ///
    /// # Errors
    /// If the ledger does not answer.
    pub async fn embed(
        ledger: Box<dyn Ledger>,
        store: Store,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Embedded, Error> {
        let (writer, handle) = writer::start_task(ledger, clock.clone());
        let tokens = Arc::new(Tokens::new(handle.clone(), clock.clone()));
        tokens.read().await.map_err(Error::Tokens)?;
        let guard =
            GuardLayer(Arc::new(Guard { tokens: tokens.clone(), rates: Arc::new(Limits::new(u32::MAX)), own: None }));
        let (stop, stopping) = watch::channel(false);
        let (core, _) = begin(handle, store, false, tokens, settings, clock, &stopping);
        Ok(Embedded { services: guard.layer(server::routes(core)), _stop: stop, _writer: writer })
    }
}

impl Embedded {
    /// The answer to a request of gRPC.
    pub fn answer(&self, request: http::Request<Body>) -> impl Future<Output = http::Response<Body>> + Send + use<> {
        let mut services = self.services.clone();
        async move { services.call(request).await.unwrap_or_else(|never| match never {}) }
    }
}

impl Running {
    /// Where it listens; the port is the one it got where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL for clients and workers on this machine.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.has_tls { "https" } else { "http" }, self.address)
    }

    /// How a client in this process reaches it, if it is private and has no TLS.
    pub fn access(&self) -> Access {
        self.own_token.as_deref().map(Access::with_token).unwrap_or_default()
    }

    /// The store's URL, or its folder.
    pub fn store_url(&self) -> &str {
        self.store.url()
    }

    /// The ledger.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Stops politely: takes no new requests, ends open streams, writes manifests, closes the ledger.
    pub async fn shutdown(self) {
        self.health.set_not_serving().await;
        self.stop.send_replace(true);
        let mut server = self.server;
        if tokio::time::timeout(GRACE, &mut server).await.is_err() {
            tracing::warn!("some connections did not end in time and are cut");
            server.abort();
        }
        // They end by themselves, a manifest that is being written first.
        for mut task in self.tasks {
            if tokio::time::timeout(GRACE, &mut task).await.is_err() {
                task.abort();
            }
        }
        if tokio::time::timeout(GRACE, self.manifests.write_all()).await.is_err() {
            tracing::warn!("the store did not take all manifests in time; they are written after the next start");
        }
        self.writer.close().await;
    }
}

/// Starts a coordinator, says so in one line on standard output, and stops it politely at SIGTERM or Ctrl-C.
///
/// # Errors
/// As [`Coordinator::start`], and if its server ends by itself.
pub async fn run(options: Options) -> Result<(), Error> {
    let system = |source| Error::System { what: "a signal handler", source };
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map_err(system)?;
    let mut running = Coordinator::start(options).await?;
    println!(
        "curvefleet coordinator {} listens on {}, store {}, ledger {}",
        env!("CARGO_PKG_VERSION"),
        running.url(),
        running.store_url(),
        running.ledger_place
    );
    tokio::select! {
        _ = terminate.recv() => tracing::info!("stopping: SIGTERM"),
        _ = tokio::signal::ctrl_c() => tracing::info!("stopping: Ctrl-C"),
        ended = &mut running.server => {
            let reason = match ended {
                Ok(Ok(())) => "without a reason".to_string(),
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            return Err(Error::Server(reason));
        }
    }
    running.shutdown().await;
    Ok(())
}

/// Opens the ledger in its database or file, and says where it is.
fn open_ledger(
    database: Option<DatabaseUrl>,
    file: &Path,
    settings: Settings,
    clock: &dyn Clock,
) -> Result<(Box<dyn Ledger>, String), Error> {
    match database {
        Some(url) => {
            let time = if clock.is_this_machines() { Time::Server } else { Time::Told };
            let ledger = PostgresLedger::open(&url, settings, time)?;
            let place = ledger.place();
            Ok((Box::new(ledger), place))
        }
        None => Ok((Box::new(SqliteLedger::open(file, settings)?), file.display().to_string())),
    }
}

fn sweep_interval(settings: Settings) -> Duration {
    Duration::from_millis(settings.lease_ms) / SWEEPS_PER_LEASE
}

async fn sweep(ledger: Handle, settings: Settings, stopping: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(sweep_interval(settings));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let stopped = stopped(stopping);
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            biased;
            _ = ticks.tick() => {}
            () = &mut stopped => return,
        }
        match ledger.ask(Expire { all: false }).await {
            Ok(0) => {}
            Ok(leases) => tracing::info!(leases, "leases ended because nothing was heard of their workers in time"),
            Err(error) => tracing::warn!(%error, "cannot look for expired leases"),
        }
    }
}

/// The address that `listen` names.
async fn listen_address(listen: &str) -> Result<SocketAddr, Error> {
    let refuse = |reason: String| Error::Listen { listen: listen.to_string(), reason };
    let mut addresses = tokio::net::lookup_host(listen).await.map_err(|error| refuse(error.to_string()))?;
    addresses.next().ok_or_else(|| refuse("the host has no address".to_string()))
}

/// Says what a person may not have meant.
fn warn_of_tokens(tokens: &Tokens, has_tls: bool, address: SocketAddr) {
    if tokens.are_there() && !tokens.any_is_live() {
        tracing::warn!(
            "all tokens of the ledger have expired or were revoked, so that no one is served; make one with --direct"
        );
    }
    if tokens.are_there() && !has_tls && !is_loopback(address.ip()) {
        tracing::warn!("tokens cross the network without TLS: everyone between can read and use them");
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// The environment's variables that are text, for the store.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
}
