//! The local server: one socket on 127.0.0.1, a thread a connection, answers that come from `Site`.
//!
//! It speaks just enough HTTP/1.1 for a browser: one GET or HEAD a connection. It knows nothing of the page. It is
//! not `tiny_http`, whose pool of threads can leave a connection waiting behind others that are open and idle, which
//! browsers keep several of. Invariant: it listens on the loopback address only and answers only requests whose
//! `Host` is that address, so that no other site can read the user's model through a name of its own.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crate::shell::Outcome;
use crate::site::{Content, HEADERS, PLAIN, Reply, Site};

const DEFAULT_PORT: u16 = 8080;
/// Ports tried after the default one.
const PORTS_MAX: u16 = 20;
/// Connections at once; each has a thread.
const CONNECTIONS_MAX: usize = 128;
/// Bytes of a request's head.
const HEAD_BYTES_MAX: u64 = 16 << 10;
/// How long a connection may stay silent, or its reader stand still.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Serves a site until the process ends. `port` must be free; without it the default or the next free one is used.
pub fn serve(site: Site, port: Option<u16>) -> Outcome {
    let listener = bind(port)?;
    let address = listener.local_addr().map_err(|e| format!("the server has no address: {e}"))?;
    println!("http://{address}/");
    eprintln!("serving the page and the model on this machine only; Ctrl-C ends it");
    answer_all(&listener, &Arc::new(site));
    Ok(())
}

fn bind(port: Option<u16>) -> Outcome<TcpListener> {
    let last = port.unwrap_or(DEFAULT_PORT + PORTS_MAX);
    let mut failure = String::new();
    for port in port.unwrap_or(DEFAULT_PORT)..=last {
        match TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))) {
            Ok(listener) => return Ok(listener),
            Err(error) => failure = format!("cannot listen on 127.0.0.1:{port}: {error}"),
        }
    }
    Err(format!("{failure}; choose a free port with --port"))
}

fn answer_all(listener: &TcpListener, site: &Arc<Site>) {
    for stream in listener.incoming().flatten() {
        // Each thread holds one more handle of the site while it runs. A connection too many is closed at once.
        if Arc::strong_count(site) <= CONNECTIONS_MAX {
            let site = Arc::clone(site);
            // The only failure is a browser that went away.
            std::thread::spawn(move || drop(answer(&site, &stream)));
        }
    }
}

fn answer(site: &Site, stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    stream.set_write_timeout(Some(SILENCE_MAX))?;
    let Some(request) = read_request(stream)? else { return Ok(()) };
    let mut response = respond(site, &request)?;
    let mut head = format!("HTTP/1.1 {}\r\nConnection: close\r\n", response.status);
    for (name, value) in HEADERS {
        head += &format!("{name}: {value}\r\n");
    }
    for (name, value) in &response.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n", response.length);
    let mut out = stream;
    out.write_all(head.as_bytes())?;
    if request.method != "HEAD" {
        io::copy(&mut response.body, &mut out)?;
    }
    Ok(())
}

/// What is read of a request.
struct Request {
    method: String,
    target: String,
    host: String,
    range: Option<String>,
    takes_gzip: bool,
}

/// Reads a request's head; `None` if the connection ends or is silent before one is whole.
fn read_request(stream: &TcpStream) -> io::Result<Option<Request>> {
    let mut lines = BufReader::new(stream.take(HEAD_BYTES_MAX)).lines();
    let Some(first) = lines.next().transpose()? else { return Ok(None) };
    let mut words = first.split(' ').map(String::from);
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let mut request =
        Request { method, target, host: String::new(), range: None, takes_gzip: false };
    for line in lines {
        let line = line?;
        if line.is_empty() {
            return Ok(Some(request));
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "host" => request.host = value.trim().into(),
            "range" => request.range = Some(value.trim().into()),
            "accept-encoding" => request.takes_gzip = value.split(',').any(|c| c.trim() == "gzip"),
            _ => {}
        }
    }
    Ok(None)
}

struct Response {
    status: &'static str,
    headers: Vec<(&'static str, String)>,
    length: u64,
    body: Box<dyn Read>,
}

fn respond(site: &Site, request: &Request) -> io::Result<Response> {
    let name = request.host.rsplit_once(':').map_or(request.host.as_str(), |(name, _)| name);
    let reply = if !matches!(name, "127.0.0.1" | "localhost") {
        Reply::text(403, "this server answers to 127.0.0.1 and localhost only", PLAIN)
    } else if !matches!(request.method.as_str(), "GET" | "HEAD") {
        let mut reply = Reply::text(405, "only GET and HEAD", PLAIN);
        reply.headers.push(("Allow", "GET, HEAD".into()));
        reply
    } else {
        site.reply(&request.target, request.range.as_deref(), request.takes_gzip)
    };
    // A file may have gone since it was listed.
    response(reply).or_else(|error| response(Reply::text(500, &error.to_string(), PLAIN)))
}

/// A reply with its body opened.
fn response(reply: Reply) -> io::Result<Response> {
    let (length, body): (u64, Box<dyn Read>) = match reply.body {
        Content::Text(text) => (text.len() as u64, Box::new(Cursor::new(text.into_bytes()))),
        Content::Part { path, first, length } => {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(first))?;
            (length, Box::new(file.take(length)))
        }
    };
    Ok(Response { status: status(reply.status), headers: reply.headers, length, body })
}

fn status(code: u16) -> &'static str {
    match code {
        200 => "200 OK",
        206 => "206 Partial Content",
        403 => "403 Forbidden",
        404 => "404 Not Found",
        405 => "405 Method Not Allowed",
        416 => "416 Range Not Satisfiable",
        _ => "500 Internal Server Error",
    }
}

#[cfg(test)]
mod tests;
