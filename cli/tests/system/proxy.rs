//! A proxy between a program and an S3 server that misbehaves as networks and servers do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What it does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Passes all on.
    Good,
    /// Answers nothing and closes the connection, where the request's line has this in it.
    Away(&'static str),
    /// Alters so many answers to GET, where the request's line has this in it.
    Altering { part: &'static str, answers: usize },
    /// Answers so many requests with 403, and then every third one with one fault after another.
    Chaos { refusals: usize },
}

/// One misbehaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Delay,
    ResetBefore,
    ResetAfter,
    Answer(&'static str, &'static str),
    TruncateRequest,
    TruncateAnswer,
    AlterAnswer,
    Repeat,
}

const REFUSED: Fault = Fault::Answer("403 Forbidden", "AccessDenied");
const FAULTS: [Fault; 8] = [
    Fault::ResetBefore,
    Fault::Answer("500 Internal Server Error", "InternalError"),
    Fault::TruncateAnswer,
    Fault::Repeat,
    Fault::Answer("503 Slow Down", "SlowDown"),
    Fault::ResetAfter,
    Fault::Delay,
    Fault::TruncateRequest,
];

/// A proxy at work.
pub struct Proxy {
    /// Where it listens, as a URL.
    pub endpoint: String,
    state: Arc<Mutex<State>>,
}

struct State {
    mood: Mood,
    /// Requests since the mood began.
    requests: usize,
    faults: usize,
    /// The first lines of all requests.
    lines: Vec<String>,
}

struct Request {
    line: String,
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Proxy {
    /// Listens on loopback, for a server at the URL `upstream`.
    pub fn start(upstream: &str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let upstream = upstream.strip_prefix("http://").unwrap().to_string();
        let state = Arc::new(Mutex::new(State { mood: Mood::Good, requests: 0, faults: 0, lines: Vec::new() }));
        let known = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (state, upstream) = (known.clone(), upstream.clone());
                // Whoever goes away in the middle is no concern of the test.
                std::thread::spawn(move || drop(serve(client.unwrap(), &upstream, &state)));
            }
        });
        Proxy { endpoint, state }
    }

    pub fn set(&self, mood: Mood) {
        let mut state = self.state.lock().unwrap();
        (state.mood, state.requests) = (mood, 0);
    }

    /// How many requests it has not passed on as they should have been.
    pub fn faults(&self) -> usize {
        self.state.lock().unwrap().faults
    }

    /// The first lines of the requests so far that have this in them.
    pub fn requests(&self, part: &str) -> Vec<String> {
        self.state.lock().unwrap().lines.iter().filter(|line| line.contains(part)).cloned().collect()
    }
}

impl State {
    fn fault(&mut self, line: &str) -> Option<Fault> {
        self.lines.push(line.to_string());
        self.requests += 1;
        let fault = match self.mood {
            Mood::Good => None,
            Mood::Altering { part, answers } => {
                (answers > 0 && line.starts_with("GET") && line.contains(part)).then(|| {
                    self.mood = Mood::Altering { part, answers: answers - 1 };
                    Fault::AlterAnswer
                })
            }
            Mood::Away(part) => line.contains(part).then_some(Fault::ResetBefore),
            Mood::Chaos { refusals } if self.requests <= refusals => Some(REFUSED),
            Mood::Chaos { .. } if self.requests.is_multiple_of(3) => Some(FAULTS[self.requests / 3 % FAULTS.len()]),
            Mood::Chaos { .. } => None,
        };
        self.faults += usize::from(fault.is_some());
        fault
    }
}

/// Serves the requests of a connection, until one is not answered whole.
fn serve(client: TcpStream, upstream: &str, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut client = client;
    while let Some(request) = Request::read(&mut reader)? {
        let fault = state.lock().unwrap().fault(&request.line);
        match fault {
            None => client.write_all(&request.ask(upstream)?)?,
            Some(Fault::Delay) => {
                std::thread::sleep(Duration::from_millis(300));
                client.write_all(&request.ask(upstream)?)?;
            }
            Some(Fault::Repeat) => {
                request.ask(upstream)?;
                client.write_all(&request.ask(upstream)?)?;
            }
            Some(Fault::Answer(status, code)) => client.write_all(answer(status, code, &request.line).as_bytes())?,
            Some(Fault::ResetBefore) => return client.shutdown(Shutdown::Both),
            Some(Fault::ResetAfter) => {
                request.ask(upstream)?;
                return client.shutdown(Shutdown::Both);
            }
            Some(Fault::TruncateRequest) => {
                let mut server = TcpStream::connect(upstream)?;
                server.write_all(&request.head)?;
                server.write_all(&request.body[..request.body.len() / 2])?;
                server.shutdown(Shutdown::Both)?;
                return client.shutdown(Shutdown::Both);
            }
            Some(Fault::AlterAnswer) => {
                let mut answer = request.ask(upstream)?;
                if let Some(last) = answer.last_mut() {
                    *last ^= 1;
                }
                client.write_all(&answer)?;
            }
            Some(Fault::TruncateAnswer) => {
                let answer = request.ask(upstream)?;
                client.write_all(&answer[..answer.len() - answer.len() / 4])?;
                return client.shutdown(Shutdown::Both);
            }
        }
    }
    Ok(())
}

impl Request {
    /// The next request of a connection. Clients here send a length with every body.
    fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
        let (mut head, mut length, mut first) = (Vec::new(), 0, String::new());
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            if first.is_empty() {
                first = line.trim().to_string();
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                // So that the answer ends with the connection.
                head.extend_from_slice(b"connection: close\r\n\r\n");
                break;
            }
            if !name.eq_ignore_ascii_case("connection") {
                head.extend_from_slice(line.as_bytes());
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(Some(Request { line: first, head, body }))
    }

    /// Passes it on; gives the answer, for a connection that goes on.
    fn ask(&self, upstream: &str) -> std::io::Result<Vec<u8>> {
        let mut server = TcpStream::connect(upstream)?;
        server.write_all(&self.head)?;
        server.write_all(&self.body)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |at| at + 2);
        let (head, rest) = answer.split_at(end);
        let kept = String::from_utf8_lossy(head);
        let kept = kept.split_inclusive("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
        Ok([kept.collect::<String>().as_bytes(), rest].concat())
    }
}

/// An answer as S3 gives it; to HEAD without its body.
fn answer(status: &str, code: &str, line: &str) -> String {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>So it goes.</Message></Error>");
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/xml\r\ncontent-length: {}\r\n\r\n", body.len());
    if line.starts_with("HEAD") { head } else { head + &body }
}
