//! A server under test and the plainest client: one request a connection, written and read as text.
//!
//! It knows nothing of what is asked. Invariant: the server is a process of its own and ends with the value that stands for
//! it.

use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running server.
pub struct Server {
    child: Child,
    address: String,
    _folder: TempDir,
}

/// An answer.
pub struct Reply {
    pub status: u16,
    head: String,
    pub body: String,
}

fn command(home: &Path, model: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_apprentice"));
    command.args(["serve", "--port", "0", "--device", "cpu"]).args(args);
    // A folder without a built page.
    command.current_dir(model.parent().unwrap());
    command.arg("--home").arg(home).arg("--model").arg(model);
    command
}

fn write_model(model: &[u8]) -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    fs::write(&path, model).unwrap();
    (folder, path)
}

impl Server {
    /// A server over an empty home.
    pub fn start(model: &[u8], args: &[&str]) -> Server {
        let (folder, path) = write_model(model);
        let home = folder.path().join("home");
        Server::run(folder, &home, &path, args)
    }

    /// A server over a home.
    pub fn start_in(home: &Path, model: &[u8], args: &[&str]) -> Server {
        let (folder, path) = write_model(model);
        Server::run(folder, home, &path, args)
    }

    fn run(folder: TempDir, home: &Path, model: &Path, args: &[&str]) -> Server {
        let mut command = command(home, model, args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").expect("the server's address").into();
        Server { child, address, _folder: folder }
    }

    /// What a server says that does not start.
    pub fn refused(model: &[u8], args: &[&str]) -> String {
        let (folder, path) = write_model(model);
        let done = command(&folder.path().join("home"), &path, args).output().unwrap();
        let told = String::from_utf8(done.stderr).unwrap();
        assert_eq!((done.status.code(), told.starts_with("error: ")), (Some(2), true), "{told}");
        told
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        let has = |name: &str| headers.iter().any(|(other, _)| *other == name);
        if !has("Host") {
            text += &format!("Host: {}\r\n", self.address);
        }
        if method == "POST" && !has("Content-Type") {
            text += "Content-Type: application/json\r\n";
        }
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "{text}Content-Length: {}\r\n\r\n", body.len()).unwrap();
        // A body that is too long may not be read to its end.
        stream.write_all(body.as_bytes()).ok();
        stream
    }

    /// Sends a request and reads the whole answer.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut answer = Vec::new();
        self.ask(method, path, headers, body).read_to_end(&mut answer).ok();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer with a head");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut reply = Reply { status, head: head.to_lowercase(), body: String::new() };
        let chunked = reply.header("transfer-encoding").as_deref() == Some("chunked");
        reply.body = if chunked { unchunked(body) } else { body.into() };
        reply
    }

    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], "")
    }

    pub fn chat(&self, body: &Value) -> Reply {
        self.send("POST", "/v1/chat/completions", &[], &body.to_string())
    }

    pub fn feedback(&self, body: &Value) -> Reply {
        self.send("POST", "/v1/feedback", &[], &body.to_string())
    }

    /// Asks for a stream, hears its first words, and goes away; gives the answer's id.
    pub fn leave_early(&self, body: &Value) -> Value {
        let stream = self.ask("POST", "/v1/chat/completions", &[], &body.to_string());
        let lines = BufReader::new(&stream).lines();
        let lines = lines.map_while(Result::ok).filter(|line| line.starts_with("data: "));
        let mut events = lines.map(|line| serde_json::from_str::<Value>(&line[6..]).unwrap());
        let speaks = |event: &Value| {
            event["choices"][0]["delta"]["content"].as_str().is_some_and(|text| !text.is_empty())
        };
        events.find(speaks).unwrap()["id"].clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect(&self.body)
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<String> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(other, _)| *other == name).map(|(_, value)| value.to_string())
    }

    /// The events of a stream, which ends as OpenAI's do.
    pub fn events(&self) -> Vec<Value> {
        assert_eq!(
            self.header("content-type").as_deref(),
            Some("text/event-stream; charset=utf-8")
        );
        let events: Vec<&str> = self.body.split_terminator("\n\n").collect();
        let (last, events) = events.split_last().expect("events");
        assert_eq!(*last, "data: [DONE]");
        let data = events.iter().map(|event| event.strip_prefix("data: ").unwrap());
        data.map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    fn error(&self, field: &str) -> String {
        self.json()["error"][field].as_str().unwrap_or_default().to_string()
    }

    /// The parameter that an error names.
    pub fn param(&self) -> String {
        self.error("param")
    }

    /// An error's code.
    pub fn code(&self) -> String {
        self.error("code")
    }
}

/// A body that came in chunks.
fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        whole.push_str(&rest[..size]);
        body = rest[size..].strip_prefix("\r\n").unwrap();
    }
    whole
}
