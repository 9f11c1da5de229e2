//! Tells the program which commit it was built from: `CURVEFLEET_GIT_COMMIT` where that is set, else the commit that is checked out,
//! else `unknown`, as in a source archive. Git itself is not needed. Changes that were not committed are not seen.

use std::fs;
use std::path::{Path, PathBuf};

const VARIABLE: &str = "CURVEFLEET_GIT_COMMIT";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let told = std::env::var(VARIABLE).ok().filter(|commit| !commit.is_empty());
    let commit = told.or_else(checked_out).filter(|commit| is_commit(commit));
    println!("cargo::rustc-env={VARIABLE}={}", commit.as_deref().unwrap_or("unknown"));
}

/// The commit of the checkout that this folder lies in.
fn checked_out() -> Option<String> {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?).join("..");
    let folder = git_folder(&root)?;
    let head = read(&folder.join("HEAD"))?;
    // Grows with every commit and checkout here, and with nothing else.
    watch(&folder.join("logs/HEAD"));
    match head.strip_prefix("ref: ") {
        None => Some(head),
        Some(reference) => referred(&common_folder(&folder), reference),
    }
}

/// `.git` is a folder, or in a further worktree a file that names one.
fn git_folder(root: &Path) -> Option<PathBuf> {
    let git = root.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    Some(root.join(fs::read_to_string(git).ok()?.trim().strip_prefix("gitdir: ")?))
}

/// Where all worktrees of a repository keep their branches.
fn common_folder(folder: &Path) -> PathBuf {
    match fs::read_to_string(folder.join("commondir")) {
        Ok(common) => folder.join(common.trim()),
        Err(_) => folder.to_path_buf(),
    }
}

/// The commit that a branch is at: from its file, or from the list that Git packs such files into.
fn referred(common: &Path, reference: &str) -> Option<String> {
    if let Some(commit) = read(&common.join(reference)) {
        return Some(commit);
    }
    let packed = read(&common.join("packed-refs"))?;
    packed.lines().find_map(|line| line.strip_suffix(reference)?.strip_suffix(' ').map(str::to_string))
}

/// Reads a file whose change gives another commit.
fn read(file: &Path) -> Option<String> {
    watch(file);
    Some(fs::read_to_string(file).ok()?.trim().to_string())
}

/// Cargo runs this again when the file changes. A file that is not there would make it run at every build.
fn watch(file: &Path) {
    if file.exists() {
        println!("cargo::rerun-if-changed={}", file.display());
    }
}

fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
