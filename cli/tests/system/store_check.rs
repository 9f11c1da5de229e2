//! `curvefleet store check`: one sentence that says what is wrong with a store, and nothing left behind.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use super::folder::Folder;
use super::process::{Finished, curvefleet, run};
use super::refusals::is_root;
use super::s3_server::{SECRET, serve, variables};

fn check(folder: &Folder, store: &str, variables: impl IntoIterator<Item = (String, String)>) -> Finished {
    run(curvefleet(folder.path()).args(["store", "check", store]).envs(variables))
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn a_folder_works_and_is_left_as_it_was() {
    let folder = Folder::new();
    let new = check(&folder, "new", []).succeeded();
    assert!(new.out.contains("/new would work") && new.out.contains("not there yet"), "{}", new.out);
    check(&folder, "new/below/another", []).succeeded();
    assert!(is_empty(folder.path()), "folders made for the check go again");
    std::fs::create_dir(folder.path().join("old")).unwrap();
    std::fs::write(folder.path().join("old/ledger.sqlite"), "kept").unwrap();
    check(&folder, "old", []).succeeded();
    let left: Vec<_> =
        std::fs::read_dir(folder.path().join("old")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["ledger.sqlite"]);
    let json = run(curvefleet(folder.path()).args(["store", "check", "old", "--json"])).succeeded();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json.out).unwrap()["works"], true);
}

#[test]
fn a_folder_that_is_none_and_an_unknown_kind_of_store_are_refused() {
    let folder = Folder::new().and("file", "no folder");
    check(&folder, "file", []).refused(2, &["file", "cannot be used"]);
    check(&folder, "ftp://host/x", []).refused(2, &["ftp://host/x", "s3://"]);
    check(&folder, "/proc/curvefleet", []).refused(2, &["/proc/curvefleet"]);
    let too_long = format!("new/{}", "x".repeat(300));
    check(&folder, &too_long, []).refused(2, &["cannot be used"]);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["file"], "what was made of the folder goes again");
}

#[test]
fn a_folder_that_may_not_be_written_is_told_apart_from_one_that_fails() {
    if is_root() {
        println!("skipped: root may write everywhere");
        return;
    }
    let folder = Folder::new();
    let locked = folder.path().join("locked");
    std::fs::create_dir(&locked).unwrap();
    let mut permissions = std::fs::metadata(&locked).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&locked, permissions).unwrap();
    check(&folder, "locked", []).refused(2, &["locked", "does not allow", "the right to"]);
}

#[test]
fn a_full_disk_is_called_full() {
    if !Path::new("/dev/full").exists() {
        println!("skipped: there is no /dev/full");
        return;
    }
    // What a store writes to is named after its key, so the whole folder cannot be a device; the error is what the system gives.
    let error = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap().write_all(b"x").unwrap_err();
    let error = object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(error) };
    let sentence = curvefleet_proto::store::diagnose(&error);
    assert!(sentence.contains("it is full") && sentence.contains("make room"), "{sentence}");
}

#[test]
fn an_s3_server_works_and_wrong_keys_a_missing_bucket_and_silence_are_told_apart() {
    let buckets = Folder::new();
    std::fs::create_dir(buckets.path().join("lab")).unwrap();
    let endpoint = serve(buckets.path());
    let folder = Folder::new();
    let in_s3 = |store: &str, secret: &str| check(&folder, store, variables(&endpoint, secret));
    assert!(in_s3("s3://lab/some/prefix", SECRET).succeeded().out.contains("s3://lab/some/prefix works"));
    in_s3("s3://lab", SECRET).succeeded();
    in_s3("s3://lab/x", "not-the-secret").refused(2, &["s3://lab/x", "credentials", "AWS_SECRET_ACCESS_KEY"]);
    in_s3("s3://nowhere/x", SECRET).refused(2, &["s3://nowhere/x", "no such bucket"]);
    let [endpoint, region, _, secret] = variables(&endpoint, SECRET);
    let stranger = [endpoint, region, ("AWS_ACCESS_KEY_ID".to_string(), "stranger".to_string()), secret];
    check(&folder, "s3://lab/x", stranger).refused(2, &["credentials", "NotSignedUp", "AWS_ACCESS_KEY_ID"]);
    let objects = |folder: &Path| {
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.is_file()).count()
    };
    assert_eq!(objects(&buckets.path().join("lab")), 0);
    assert_eq!(objects(&buckets.path().join("lab/some/prefix")), 0);

    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = check(&folder, "s3://lab/x", variables(&format!("http://{closed}"), SECRET));
    silent.refused(2, &["nothing answers at its endpoint", "AWS_ENDPOINT_URL"]);
}

/// An answer as AWS documents it, for every request.
fn serve_answer(status: &'static str, code: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut request = [0; 16 << 10];
            // Small requests: what is not read of the body does not matter to the answer.
            let _ = socket.read(&mut request);
            let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>As it is.</Message></Error>");
            let length = body.len();
            let _ = write!(
                socket,
                "HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            let _ = socket.shutdown(std::net::Shutdown::Write);
            let _ = socket.read_to_end(&mut Vec::new());
        }
    });
    endpoint
}

#[test]
fn a_wrong_clock_a_missing_right_and_a_full_store_are_told_apart() {
    let folder = Folder::new();
    for (status, code, words) in [
        ("403 Forbidden", "RequestTimeTooSkewed", ["clock", "NTP"]),
        ("403 Forbidden", "AccessDenied", ["does not allow", "list, read, write and delete"]),
        ("400 Bad Request", "ExpiredToken", ["credentials", "AWS_SESSION_TOKEN"]),
        ("507 Insufficient Storage", "QuotaExceeded", ["full", "make room"]),
    ] {
        let endpoint = serve_answer(status, code);
        let refused = check(&folder, "s3://lab/x", variables(&endpoint, SECRET));
        refused.refused(2, &["listing objects failed", &format!("{code}: As it is"), words[0], words[1]]);
    }
}
