//! The local server: one socket on 127.0.0.1, a thread a connection, answers that come from `Site`.
//!
//! It speaks just enough HTTP/1.1 for a browser: one GET or HEAD a connection. It knows nothing of the page. It is
//! not `tiny_http`, whose pool of threads can leave a connection waiting behind others that are open and idle, which
//! browsers keep several of. Invariant: it listens on the loopback address only and answers only requests whose
//! `Host` is that address, so that no other site can read the user's model through a name of its own.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::shell::Outcome;
use crate::site::{Answer, HEADERS, Site, byte_range};

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
    let mut response = respond(site, &request);
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

fn respond(site: &Site, request: &Request) -> Response {
    let name = request.host.rsplit_once(':').map_or(request.host.as_str(), |(name, _)| name);
    if !matches!(name, "127.0.0.1" | "localhost") {
        return text("403 Forbidden", "this server answers to 127.0.0.1 and localhost only", PLAIN);
    }
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        let mut response = text("405 Method Not Allowed", "only GET and HEAD", PLAIN);
        response.headers.push(("Allow", "GET, HEAD".into()));
        return response;
    }
    match site.answer(&request.target) {
        Answer::Missing => text("404 Not Found", "there is no such file", PLAIN),
        Answer::Text(body, kind) => text("200 OK", &body, kind),
        Answer::File(path, kind) => whole_or_part(&path, kind, request)
            .unwrap_or_else(|error| text("500 Internal Server Error", &error.to_string(), PLAIN)),
    }
}

/// A file, or the part of it that was asked for; packed where the build left a packed copy and the browser takes one.
fn whole_or_part(path: &Path, kind: &'static str, request: &Request) -> io::Result<Response> {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    if request.takes_gzip && request.range.is_none() && Path::new(&name).is_file() {
        let mut response = file(Path::new(&name), kind, None)?;
        // Ranges are of the file as it is, so none are offered here.
        response.headers.retain(|(name, _)| *name != "Accept-Ranges");
        response.headers.push(("Content-Encoding", "gzip".into()));
        response.headers.push(("Vary", "Accept-Encoding".into()));
        return Ok(response);
    }
    file(path, kind, request.range.as_deref())
}

fn file(path: &Path, kind: &str, range: Option<&str>) -> io::Result<Response> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut headers = vec![("Accept-Ranges", "bytes".into()), ("Content-Type", kind.into())];
    let (status, first, length) = match range.map(|range| byte_range(range, size)) {
        None | Some(Ok(None)) => ("200 OK", 0, size),
        Some(Ok(Some((first, last)))) => {
            headers.push(("Content-Range", format!("bytes {first}-{last}/{size}")));
            ("206 Partial Content", first, last - first + 1)
        }
        Some(Err(())) => {
            let mut response = text("416 Range Not Satisfiable", "no such bytes", PLAIN);
            response.headers.push(("Content-Range", format!("bytes */{size}")));
            return Ok(response);
        }
    };
    file.seek(SeekFrom::Start(first))?;
    Ok(Response { status, headers, length, body: Box::new(file.take(length)) })
}

const PLAIN: &str = "text/plain; charset=utf-8";

fn text(status: &'static str, body: &str, kind: &str) -> Response {
    let bytes = body.as_bytes().to_vec();
    let headers = vec![("Content-Type", kind.into())];
    Response { status, headers, length: bytes.len() as u64, body: Box::new(Cursor::new(bytes)) }
}

#[cfg(test)]
mod tests;
