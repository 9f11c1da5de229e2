//! The coordinator as a program: its one line, its exit codes, and how it stops.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

fn program(folder: &std::path::Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_curvefleet-coordinator"))
        .current_dir(folder)
        .env("CURVEFLEET_LISTEN", "127.0.0.1:0")
        .env("CURVEFLEET_STORE", "store")
        .env_remove("CURVEFLEET_LEDGER")
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The exit code, and all it said on standard error.
fn end_of(mut child: Child) -> (Option<i32>, String) {
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    line
}

#[test]
fn it_says_where_it_listens_and_sigterm_ends_it_politely() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = program(folder.path(), &[]);
    let line = first_line(&mut child);
    let version = env!("CARGO_PKG_VERSION");
    assert!(line.starts_with(&format!("curvefleet coordinator {version} listens on http://127.0.0.1:")), "{line}");
    assert!(line.contains("/store, ledger ") && line.trim_end().ends_with("/store/ledger.sqlite"), "{line}");
    let (code, said) = end_of(program(folder.path(), &[]));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.starts_with("error: the ledger ") && said.contains("in use"), "{said}");
    let killed = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(killed.success());
    let (code, said) = end_of(child);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn what_the_user_can_mend_ends_with_exit_code_2_and_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let wrong: [(&[&str], &str); 4] = [
        (&["--listen", "0.0.0.0:0"], "--insecure"),
        (&["--store", "ftp://host/folder"], "ftp://host/folder"),
        (&["--lease-seconds", "0"], "--lease-seconds"),
        (&["--no-such-flag"], "--no-such-flag"),
    ];
    for (arguments, words) in wrong {
        let (code, said) = end_of(program(folder.path(), arguments));
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.starts_with("error: ") && said.contains(words), "{arguments:?}: {said}");
    }
}
