//! TLS and tokens, as people use them: certificates made and given, and every way to get them wrong.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::folder::{Folder, manifest};
use super::process::{Finished, Service, curvefleet, run};

/// A folder with certificates, a token for admin, and a coordinator that takes them on every address of this machine.
struct Fleet {
    folder: Folder,
    coordinator: Service,
}

fn at(folder: &Folder, file: &str) -> String {
    folder.path().join(file).display().to_string()
}

fn token(folder: &Folder, role: &str, file: &str) {
    let create = ["token", "create", "--direct", "--role", role, "--name", &format!("the-{role}"), "--out", file];
    run(curvefleet(folder.path()).args(create)).succeeded();
}

fn with_tls<'a>(command: &'a mut Command, more: &[&str]) -> &'a mut Command {
    let tls = ["--tls-certificate", "certs/server.crt", "--tls-key", "certs/server.key"];
    command.args(["coordinator", "--listen", "0.0.0.0:0"]).args(tls).args(more)
}

impl Fleet {
    fn start(folder: Folder, more: &[&str]) -> Fleet {
        let log = std::fs::File::create(folder.path().join("coordinator.log")).unwrap();
        let mut command = curvefleet(folder.path());
        let coordinator =
            Service::start_logged(with_tls(&mut command, more).env("CURVEFLEET_LOG", "trace"), Stdio::from(log));
        Fleet { folder, coordinator }
    }

    fn url(&self) -> String {
        self.coordinator.url().replace("0.0.0.0", "localhost")
    }

    fn ask(&self, arguments: &[&str]) -> Finished {
        run(curvefleet(self.folder.path()).args(arguments).args(["--coordinator", &self.url()]))
    }
}

fn certificates(folder: &Folder, more: &[&str]) {
    run(curvefleet(folder.path()).args(["certs", "--host", "coordinator.example"]).args(more)).succeeded();
}

/// From nothing to a finished study with TLS and tokens for everyone; and no secret stands in any log.
#[test]
fn a_study_is_run_with_tls_and_tokens() {
    let folder = Folder::with_study("safe", 2, 3);
    certificates(&folder, &[]);
    token(&folder, "admin", "admin.token");
    let fleet = Fleet::start(folder, &[]);
    let (url, ca) = (fleet.url(), at(&fleet.folder, "certs/ca.crt"));
    let admin = ["--ca", &ca, "--token-file", "admin.token"];
    for role in ["worker", "submit", "read"] {
        let file = format!("{role}.token");
        let create = ["token", "create", "--role", role, "--name", "lab", "--expires", "1h", "--out", &file];
        let name = ["token", "create", "--role", role, "--name", role, "--expires", "1h", "--out", &file];
        let made =
            fleet.ask(&[if role == "worker" { &create[..] } else { &name[..] }, &admin[..]].concat()).succeeded();
        assert!(made.out.is_empty() && made.err.contains(&file), "{}{}", made.out, made.err);
    }
    let submit = ["submit", "study.toml", "--ca", &ca, "--token-file"];
    fleet.ask(&[&submit[..], &["read.token"]].concat()).refused(2, &["`read`", "SubmitStudy", "`submit` or `admin`"]);
    fleet.ask(&[&submit[..], &["submit.token"]].concat()).succeeded();
    let mut worker = curvefleet(fleet.folder.path());
    worker.args(["worker", "--slots", "1", "--name", "w", "--coordinator", &url, "--ca", &ca, "--token-file"]);
    let reader = run(curvefleet(fleet.folder.path()).args([
        "worker",
        "--slots",
        "1",
        "--coordinator",
        &url,
        "--ca",
        &ca,
        "--token-file",
        "read.token",
    ]));
    reader.refused(2, &["refuses this worker", "`worker`"]);
    let log = std::fs::File::create(fleet.folder.path().join("worker.log")).unwrap();
    let _worker = Service::start_logged(worker.arg("worker.token").env("CURVEFLEET_LOG", "trace"), Stdio::from(log));
    let watched = fleet.ask(&["watch", "safe", "--ca", &ca, "--token-file", "read.token"]).succeeded();
    assert!(watched.out.contains("4 of 4 runs done"), "{}", watched.out);
    assert_eq!(manifest(&fleet.folder.path().join("curvefleet-data"), "safe").len(), 4);
    let workers = fleet.ask(&["workers", "--ca", &ca, "--token-file", "read.token"]).succeeded();
    assert!(workers.out.contains("lab/w"), "{}", workers.out);
    let audit = fleet.ask(&[&["audit"][..], &admin].concat()).succeeded();
    assert!(audit.out.contains("submit (token "), "{}", audit.out);
    let listed = fleet.ask(&[&["token", "list"][..], &admin].concat()).succeeded();
    assert!(listed.out.contains("the-admin") && listed.out.contains("valid"), "{}", listed.out);

    let ledger = std::fs::read(fleet.folder.path().join("curvefleet-data/ledger.sqlite")).unwrap();
    for role in ["admin", "worker", "submit", "read"] {
        let file = fleet.folder.path().join(format!("{role}.token"));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(file).unwrap();
        let secret = &text.trim()[17..];
        for log in ["coordinator.log", "worker.log"] {
            let log = std::fs::read_to_string(fleet.folder.path().join(log)).unwrap();
            assert!(!log.is_empty() && !log.contains(secret), "the log shows the token for {role}");
        }
        assert!(!ledger.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()), "the ledger holds a token");
        assert!(!listed.out.contains(secret));
    }
}

#[test]
fn what_is_wrong_with_certificates_and_urls_is_said() {
    let folder = Folder::new();
    certificates(&folder, &[]);
    token(&folder, "admin", "admin.token");
    let fleet = Fleet::start(folder, &[]);
    let (url, ca) = (fleet.url(), at(&fleet.folder, "certs/ca.crt"));
    let status = |url: &str, more: &[&str]| {
        run(curvefleet(fleet.folder.path())
            .args(["status", "--coordinator", url, "--token-file", "admin.token"])
            .args(more))
    };
    status(&url, &["--ca", &ca]).succeeded();
    status(&url, &[]).refused(2, &["vouched for by no one", "--ca"]);
    let other = Folder::new();
    certificates(&other, &[]);
    status(&url, &["--ca", &at(&other, "certs/ca.crt")]).refused(2, &["vouched for by no one", "--ca"]);
    status(&url.replace("localhost", "127.0.0.2"), &["--ca", &ca]).refused(2, &["is not for 127.0.0.2", "localhost"]);
    status(&url.replace("https", "http"), &[]).refused(2, &["speaks TLS", "https://"]);
    status(&url, &["--ca", "admin.token"]).refused(2, &["admin.token", "no certificate"]);
    status(&url, &["--ca", "nowhere.crt"]).refused(2, &["nowhere.crt"]);
    status(&url, &["--ca", &ca, "--token-file", "certs/ca.crt"]).refused(2, &["cannot be used multiple times"]);
    let secret = std::fs::read_to_string(fleet.folder.path().join("admin.token")).unwrap().trim().to_string();
    for wrong in [url.replace("localhost", &format!("{secret}@localhost")), format!("{url}/?token={secret}")] {
        let refused = status(&wrong, &["--ca", &ca]);
        assert!(!refused.err.contains(&secret), "{}", refused.err);
        refused.refused(2, &["URL"]);
        let worker = run(curvefleet(fleet.folder.path()).args(["worker", "--coordinator", &wrong]));
        assert!(!(worker.out.clone() + &worker.err).contains(&secret), "{}{}", worker.out, worker.err);
        worker.refused(2, &["URL"]);
    }
    let bare = |arguments: &[&str]| {
        run(curvefleet(fleet.folder.path()).args(["status", "--ca", &ca, "--coordinator", &url]).args(arguments))
    };
    bare(&[]).refused(2, &["asks for a token", "--token-file"]);
    let in_variable = run(curvefleet(fleet.folder.path())
        .args(["status", "--ca", &ca, "--coordinator", &url])
        .env("CURVEFLEET_TOKEN", &secret));
    in_variable.succeeded();
    let foreign = run(curvefleet(fleet.folder.path())
        .args(["status", "--ca", &ca, "--coordinator", &url])
        .env("CURVEFLEET_TOKEN", "cfl_000000000000_00"));
    foreign.refused(2, &["does not know the token"]);
    status("http://10.255.255.1:7700", &[]).refused(2, &["no TLS", "--insecure"]);
    // A worker does not wait for what does not mend itself.
    let worker = run(curvefleet(fleet.folder.path()).args([
        "worker",
        "--slots",
        "1",
        "--coordinator",
        &url,
        "--token-file",
        "admin.token",
    ]));
    worker.refused(2, &["vouched for by no one"]);

    let plain = Service::start(curvefleet(fleet.folder.path()).args([
        "coordinator",
        "--listen",
        "127.0.0.1:0",
        "--store",
        "plain",
    ]));
    let https = plain.url().replace("http", "https");
    status(&https, &["--ca", &ca]).refused(2, &["speaks no TLS", "http://"]);
}

#[test]
fn expired_certificates_and_those_of_the_future_are_named() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("certs")).unwrap();
    let year = |years: i64| time::OffsetDateTime::from_unix_timestamp(years * 31_556_952).unwrap();
    for (from, until, words) in [(1, 10, "has expired"), (200, 210, "is not valid yet")] {
        let (authority, server) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let signed = params.self_signed(&authority).unwrap();
        let issuer = Issuer::new(params, authority);
        let mut params = CertificateParams::new(vec!["localhost".to_string()]).unwrap();
        // From 1970 on, in years.
        (params.not_before, params.not_after) = (year(from), year(until));
        let certificate = params.signed_by(&server, &issuer).unwrap();
        for (file, text) in
            [("ca.crt", signed.pem()), ("server.crt", certificate.pem()), ("server.key", server.serialize_pem())]
        {
            std::fs::write(folder.path().join("certs").join(file), text).unwrap();
        }
        let mut command = curvefleet(folder.path());
        let coordinator = Service::start(with_tls(&mut command, &["--insecure"]));
        let url = coordinator.url().replace("0.0.0.0", "localhost");
        run(curvefleet(folder.path()).args(["status", "--ca", "certs/ca.crt", "--coordinator", &url]))
            .refused(2, &[words]);
    }
}

#[test]
fn a_coordinator_that_asks_for_certificates_of_clients_takes_its_own_alone() {
    let folder = Folder::new();
    certificates(&folder, &["--client", "alice"]);
    token(&folder, "admin", "admin.token");
    let fleet = Fleet::start(folder, &["--tls-client-ca", "certs/ca.crt"]);
    let status = |certificate: &str, key: &str| {
        let access = ["--ca", "certs/ca.crt", "--token-file", "admin.token"];
        let own = ["--client-certificate", certificate, "--client-key", key];
        fleet.ask(&[&["status"][..], &access, if certificate.is_empty() { &[] } else { &own[..] }].concat())
    };
    status("certs/alice.crt", "certs/alice.key").succeeded();
    // The coordinator's reason may come after the connection has ended; what to do is said in any case.
    let refused = |finished: Finished| {
        assert!(finished.code != 0 && finished.err.contains("--client-certificate"), "{}", finished.err)
    };
    refused(status("", ""));
    let other = Folder::new();
    certificates(&other, &["--client", "mallory"]);
    let (certificate, key) = (at(&other, "certs/mallory.crt"), at(&other, "certs/mallory.key"));
    refused(status(&certificate, &key));
    let access = ["status", "--ca", "certs/ca.crt", "--client-certificate", "certs/alice.crt"];
    fleet.ask(&access).refused(2, &["--client-key"]);
}

#[test]
fn certificates_are_made_once_and_kept_from_others() {
    let folder = Folder::new();
    let certs = |arguments: &[&str]| run(curvefleet(folder.path()).arg("certs").args(arguments));
    let mode = |file: &str| {
        let file: PathBuf = folder.path().join("certs").join(file);
        std::fs::metadata(file).unwrap().permissions().mode() & 0o777
    };
    certs(&[]).refused(2, &["--host"]);
    certs(&["--host", "https://host:1"]).refused(2, &["`https://host:1`", "without port"]);
    certs(&["--client", "../evil"]).refused(2, &["`../evil`"]);
    assert!(!folder.path().join("certs").exists(), "nothing is half-done");
    certs(&["--host", "one.example", "--client", "alice"]).succeeded();
    assert_eq!(["ca.key", "server.key", "alice.key"].map(mode), [0o600; 3]);
    let before: Vec<u8> = std::fs::read(folder.path().join("certs/ca.key")).unwrap();
    certs(&["--host", "two.example", "--client", "bob"]).refused(2, &["server.key is there already"]);
    assert!(!folder.path().join("certs/bob.key").exists(), "nothing is half-done");
    certs(&["--client", "bob"]).succeeded();
    assert_eq!(std::fs::read(folder.path().join("certs/ca.key")).unwrap(), before);
    std::fs::remove_file(folder.path().join("certs/ca.key")).unwrap();
    certs(&["--client", "carol"]).refused(2, &["ca.crt is there and", "ca.key is not"]);
}

/// What is on loopback stays open until there is a token; then no one is served without, but `run` and `gc` on the same ledger go on.
#[test]
fn the_first_token_closes_a_coordinator_and_run_needs_none() {
    let folder = Folder::with_study("open", 1, 2);
    let coordinator = Service::start(curvefleet(folder.path()).args(["coordinator", "--listen", "127.0.0.1:0"]));
    let url = coordinator.url();
    let ask = |arguments: &[&str]| run(curvefleet(folder.path()).args(arguments).args(["--coordinator", &url]));
    ask(&["status"]).succeeded();
    ask(&["token", "create", "--role", "admin"]).refused(2, &["--direct"]);
    // Beside the coordinator that is at work.
    let made = run(curvefleet(folder.path()).args(["token", "create", "--direct", "--role", "admin"])).succeeded();
    let secret = made.out.trim().to_string();
    assert!(secret.starts_with("cfl_") && !made.err.contains(&secret), "{}", made.err);
    while ask(&["status"]).code == 0 {}
    ask(&["status"]).refused(2, &["asks for a token"]);
    std::fs::write(folder.path().join("open.token"), &secret).unwrap();
    std::fs::set_permissions(folder.path().join("open.token"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let warned = ask(&["status", "--token-file", "open.token"]).succeeded();
    assert!(warned.err.contains("can be read by other users") && warned.err.contains("chmod 600"), "{}", warned.err);
    let id = &secret[4..16];
    let revoked = run(curvefleet(folder.path()).args(["token", "revoke", "--direct", id])).succeeded();
    assert!(revoked.out.contains(id), "{}", revoked.out);
    while ask(&["status", "--token-file", "open.token"]).code == 0 {}
    ask(&["status", "--token-file", "open.token"]).refused(2, &["was revoked"]);
    assert!(coordinator.terminate().success());
    run(curvefleet(folder.path()).args(["run", "study.toml", "--workers", "1"])).succeeded();
    run(curvefleet(folder.path()).args(["gc"])).succeeded();
    let listed = run(curvefleet(folder.path()).args(["token", "list", "--direct", "--json"])).succeeded().out;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((listed[0]["id"].as_str(), listed[0]["state"].as_str()), (Some(id), Some("revoked")));
}

#[test]
fn tokens_are_not_made_for_nothing() {
    let folder = Folder::new();
    let create = |arguments: &[&str]| {
        run(curvefleet(folder.path()).args(["token", "create", "--direct", "--role", "read"]).args(arguments))
    };
    create(&["--expires", "0d"]).refused(2, &["no time"]);
    create(&["--expires", "soon"]).refused(2, &["`soon`"]);
    create(&["--name", "a/b"]).refused(2, &["letters, digits"]);
    std::fs::write(folder.path().join("taken"), "something").unwrap();
    create(&["--out", "taken"]).refused(2, &["taken is there already"]);
    create(&["--out", "nowhere/file"]).refused(2, &["nowhere/file"]);
    assert_eq!(std::fs::read_to_string(folder.path().join("taken")).unwrap(), "something");
    run(curvefleet(folder.path()).args(["token", "list", "--direct", "--ledger", "none.sqlite"]))
        .refused(2, &["there is no ledger none.sqlite"]);
    assert!(!Path::new("none.sqlite").exists());
}

/// A worker whose token is revoked ends when its lease would be over, with the reason; one that finds a new token in its file goes on.
#[test]
fn a_worker_reads_its_token_again_and_ends_where_there_is_no_new_one() {
    let folder = Folder::with_study("rotated", 2, 3);
    let direct = |arguments: &[&str]| {
        run(curvefleet(folder.path()).arg("token").args(arguments).arg("--direct")).succeeded().out
    };
    let create = |file: &str| direct(&["create", "--role", "worker", "--name", "lab", "--out", file]);
    direct(&["create", "--role", "admin", "--out", "admin.token"]);
    create("worker.token");
    let arguments = ["coordinator", "--listen", "127.0.0.1:0", "--lease-seconds", "1"];
    let coordinator = Service::start(curvefleet(folder.path()).args(arguments));
    let url = coordinator.url();
    let start = |name: &str| {
        let log = std::fs::File::create(folder.path().join(format!("{name}.log"))).unwrap();
        let arguments =
            ["worker", "--slots", "1", "--name", name, "--coordinator", &url, "--token-file", "worker.token"];
        Service::start_logged(curvefleet(folder.path()).args(arguments), Stdio::from(log))
    };
    let admin = |arguments: &[&str]| {
        run(curvefleet(folder.path()).args(arguments).args(["--coordinator", &url, "--token-file", "admin.token"]))
    };
    let worker = start("w");
    while !admin(&["workers"]).succeeded().out.contains("lab/w") {}
    let old = std::fs::read_to_string(folder.path().join("worker.token")).unwrap();
    create("new.token");
    std::fs::rename(folder.path().join("new.token"), folder.path().join("worker.token")).unwrap();
    admin(&["token", "revoke", &old[4..16]]).succeeded();
    admin(&["submit", "study.toml"]).succeeded();
    assert!(admin(&["watch", "rotated"]).succeeded().out.contains("4 of 4 runs done"));
    let new = std::fs::read_to_string(folder.path().join("worker.token")).unwrap();
    admin(&["token", "revoke", &new[4..16]]).succeeded();
    assert_eq!(worker.ended().code(), Some(2));
    let log = std::fs::read_to_string(folder.path().join("w.log")).unwrap();
    assert!(
        log.contains("error: the coordinator refuses this worker: the token ") && log.contains("was revoked"),
        "{log}"
    );
    drop(coordinator);
}
