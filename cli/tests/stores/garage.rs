//! Garage on loopback, a single node of its own for each test.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const REGION: &str = "garage";
/// Garage's ids begin with GK and go on with 24 hex digits; secrets have 64.
const KEY: &str = "GK0123456789abcdef01234567";
const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
/// Longest wait for the node to answer, before the test fails.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// A running node; stopped when dropped.
pub struct Garage {
    node: Child,
    endpoint: String,
    _folder: tempfile::TempDir,
}

/// Databases that a node may keep its metadata in; which of them a program has, its builder chose.
const ENGINES: [&str; 2] = ["lmdb", "sqlite"];

/// Starts a node with the bucket `lab`; `None` where there is no Garage.
pub fn start() -> Option<Garage> {
    let program = program()?;
    let folder = tempfile::tempdir().unwrap();
    let [rpc, s3] = [free_port(), free_port()];
    let config = folder.path().join("garage.toml");
    std::fs::write(&config, configuration(folder.path(), engine(&program), rpc, s3)).unwrap();
    let node = Command::new(&program)
        .arg("-c")
        .arg(&config)
        .arg("server")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let garage = Garage { node, endpoint: format!("http://127.0.0.1:{s3}"), _folder: folder };
    let ask = |arguments: &[&str]| Command::new(&program).arg("-c").arg(&config).args(arguments).output().unwrap();
    let id = wait_for(|| ask(&["node", "id", "-q"]));
    let id = id.split('@').next().unwrap().trim().to_string();
    wait_for(|| ask(&["status"]));
    for arguments in [
        &["layout", "assign", "-z", "here", "-c", "1G", &id][..],
        &["layout", "apply", "--version", "1"],
        &["key", "import", "--yes", "-n", "lab", KEY, SECRET],
        &["bucket", "create", "lab"],
        &["bucket", "allow", "--read", "--write", "--owner", "lab", "--key", KEY],
    ] {
        let done = ask(arguments);
        assert!(done.status.success(), "garage {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
    Some(garage)
}

impl Garage {
    /// The variables by which a program finds it.
    pub fn variables(&self) -> [(String, String); 5] {
        [
            ("AWS_ENDPOINT_URL", self.endpoint.as_str()),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            // It compares S3's own checksums, which are sent to Amazon's servers unasked.
            ("AWS_CHECKSUM_ALGORITHM", "sha256"),
        ]
        .map(|(name, value)| (name.to_string(), value.to_string()))
    }
}

impl Drop for Garage {
    fn drop(&mut self) {
        // It may have ended already; there is nothing to do about that.
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}

fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CURVEFLEET_TEST_GARAGE") {
        return Some(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("garage")).find(|program| program.is_file())
}

/// The first database that the program names among its features.
fn engine(program: &Path) -> &'static str {
    let version = Command::new(program).arg("--version").output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let has = |engine: &&&str| version.contains(**engine);
    ENGINES.iter().find(has).unwrap_or_else(|| panic!("garage has none of {ENGINES:?}: {version}"))
}

/// One that nothing listens on at the moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The reference manual's keys for a single node.
fn configuration(folder: &Path, engine: &str, rpc: u16, s3: u16) -> String {
    let (meta, data) = (folder.join("meta").display().to_string(), folder.join("data").display().to_string());
    format!(
        "metadata_dir = \"{meta}\"\ndata_dir = \"{data}\"\ndb_engine = \"{engine}\"\nreplication_factor = 1\n\
         rpc_bind_addr = \"127.0.0.1:{rpc}\"\nrpc_public_addr = \"127.0.0.1:{rpc}\"\nrpc_secret = \"{SECRET}\"\n\n\
         [s3_api]\ns3_region = \"{REGION}\"\napi_bind_addr = \"127.0.0.1:{s3}\"\nroot_domain = \".s3.garage.test\"\n"
    )
}

/// Asks again and again until the node answers.
fn wait_for(ask: impl Fn() -> Output) -> String {
    let began = Instant::now();
    loop {
        let answer = ask();
        if answer.status.success() {
            return String::from_utf8(answer.stdout).unwrap();
        }
        assert!(began.elapsed() < STARTS_WITHIN, "garage does not start: {}", String::from_utf8_lossy(&answer.stderr));
        std::thread::yield_now();
    }
}
