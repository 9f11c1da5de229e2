//! Running the `curvefleet` binary.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

/// The command with an environment that no variable of the developer's machine reaches, and a cache of its own.
pub fn curvefleet(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_curvefleet"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CURVEFLEET") || name.starts_with("AWS")) {
        command.env_remove(name);
    }
    command.env("HOME", folder).env("CURVEFLEET_CACHE", folder.join("cache"));
    command.current_dir(folder);
    command
}

/// What a finished command printed.
pub struct Finished {
    pub code: i32,
    pub out: String,
    pub err: String,
}

pub fn run(command: &mut Command) -> Finished {
    finished(command.output().unwrap())
}

fn finished(output: Output) -> Finished {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Finished { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

impl Finished {
    #[track_caller]
    pub fn succeeded(self) -> Finished {
        assert_eq!(self.code, 0, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// One clear sentence on stderr with these words, this exit code, and no panic.
    #[track_caller]
    pub fn refused(self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        let errors = self.err.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(errors, 1, "one error is expected in:\n{}", self.err);
        for word in words {
            assert!(self.err.contains(word), "`{word}` is missing in:\n{}", self.err);
        }
    }
}

/// A process that runs on; killed when the test ends.
pub struct Service {
    child: Child,
    /// The first line it printed.
    pub first_line: String,
}

impl Service {
    /// Starts a program and waits for its first line, which it prints when it is ready.
    pub fn start(command: &mut Command) -> Service {
        Service::start_logged(command, Stdio::null())
    }

    /// The same, with its log in a file.
    pub fn start_logging(command: &mut Command, log: &Path) -> Service {
        Service::start_logged(command, std::fs::File::create(log).unwrap().into())
    }

    /// The same, with a place for what it logs.
    pub fn start_logged(command: &mut Command, log: Stdio) -> Service {
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut first_line = String::new();
        out.read_line(&mut first_line).unwrap();
        assert!(!first_line.is_empty(), "the program ended without a word");
        // Keeps the pipe open and empty while the program runs.
        std::thread::spawn(move || out.read_to_end(&mut Vec::new()));
        Service { child, first_line }
    }

    /// The coordinator's URL, from its first line.
    pub fn url(&self) -> String {
        let start = self.first_line.find("http").unwrap();
        self.first_line[start..].split([' ', ',', '\n']).next().unwrap().to_string()
    }

    /// SIGKILL: no chance to say good-bye.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its end, which comes by itself.
    pub fn ended(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// SIGTERM, and its end.
    pub fn terminate(mut self) -> ExitStatus {
        self.signal("TERM");
        self.child.wait().unwrap()
    }

    /// Sends the signal of this name.
    pub fn signal(&self, name: &str) {
        let told = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
    }

    /// Whether it has neither ended nor been killed.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // The process may have ended already; there is nothing to do about that.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
