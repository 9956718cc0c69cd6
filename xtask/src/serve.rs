//! The local server: one socket on 127.0.0.1, a few threads, answers that come from `Site`.
//!
//! It knows nothing of the page. Invariant: it listens on the loopback address only and answers only requests whose
//! `Host` is that address, so that no other site can read the user's model through a name of its own.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use tiny_http::{Header, Method, Request, Response, Server, StatusCode};

use crate::shell::Outcome;
use crate::site::{Answer, HEADERS, Site, byte_range};

const DEFAULT_PORT: u16 = 8080;
/// Ports tried after the default one.
const PORTS_MAX: u16 = 20;
/// A browser opens up to six connections to one origin, and the model's keeps one busy for a while.
const THREADS: usize = 8;

type Body = Box<dyn Read + Send>;

/// Serves a site until the process ends. `port` must be free; without it the default or the next free one is used.
pub fn serve(site: Site, port: Option<u16>) -> Outcome {
    let server = bind(port)?;
    let address = server.server_addr().to_ip().ok_or("the server has no address")?;
    println!("http://{address}/");
    eprintln!("serving the page and the model on this machine only; Ctrl-C ends it");
    answer_all(Arc::new(server), Arc::new(site));
    Ok(())
}

fn bind(port: Option<u16>) -> Outcome<Server> {
    let last = port.unwrap_or(DEFAULT_PORT + PORTS_MAX);
    let mut failure = String::new();
    for port in port.unwrap_or(DEFAULT_PORT)..=last {
        match Server::http(SocketAddr::from((Ipv4Addr::LOCALHOST, port))) {
            Ok(server) => return Ok(server),
            Err(error) => failure = format!("cannot listen on 127.0.0.1:{port}: {error}"),
        }
    }
    Err(format!("{failure}; choose a free port with --port"))
}

/// Returns when the server is unblocked as often as it has threads (tests do so).
fn answer_all(server: Arc<Server>, site: Arc<Site>) {
    let workers: Vec<_> = (0..THREADS)
        .map(|_| {
            let (server, site) = (Arc::clone(&server), Arc::clone(&site));
            std::thread::spawn(move || {
                while let Ok(request) = server.recv() {
                    let response = respond(&site, &request);
                    // The only failure is a browser that went away.
                    let _ = request.respond(response);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().expect("answering a request does not panic");
    }
}

fn respond(site: &Site, request: &Request) -> Response<Body> {
    if !host_is_local(request) {
        return text(403, "this server answers to 127.0.0.1 and localhost only", "text/plain");
    }
    if !matches!(request.method(), Method::Get | Method::Head) {
        return text(405, "only GET and HEAD", "text/plain")
            .with_header(header("Allow", "GET, HEAD"));
    }
    match site.answer(request.url()) {
        Answer::Missing => text(404, "there is no such file", "text/plain"),
        Answer::Text(body, kind) => text(200, &body, kind),
        Answer::File(path, kind) => file(&path, kind, header_of(request, "Range"))
            .unwrap_or_else(|error| text(500, &format!("cannot read it: {error}"), "text/plain")),
    }
}

fn file(path: &Path, kind: &str, range: Option<&str>) -> std::io::Result<Response<Body>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let (status, first, length) = match range.map(|range| byte_range(range, size)) {
        None | Some(Ok(None)) => (200, 0, size),
        Some(Ok(Some((first, last)))) => (206, first, last - first + 1),
        Some(Err(())) => {
            let all = header("Content-Range", &format!("bytes */{size}"));
            return Ok(text(416, "no such bytes", "text/plain").with_header(all));
        }
    };
    file.seek(SeekFrom::Start(first))?;
    let body: Body = Box::new(file.take(length));
    let mut response = response(status, body, length, kind);
    response.add_header(header("Accept-Ranges", "bytes"));
    if status == 206 {
        let last = first + length - 1;
        response.add_header(header("Content-Range", &format!("bytes {first}-{last}/{size}")));
    }
    Ok(response)
}

fn text(status: u16, body: &str, kind: &str) -> Response<Body> {
    let bytes = body.as_bytes().to_vec();
    let length = bytes.len() as u64;
    response(status, Box::new(Cursor::new(bytes)), length, kind)
}

fn response(status: u16, body: Body, length: u64, kind: &str) -> Response<Body> {
    let mut headers: Vec<Header> =
        HEADERS.iter().map(|(name, value)| header(name, value)).collect();
    headers.push(header("Content-Type", kind));
    // A length instead of chunks: the page's progress bar needs it.
    Response::new(StatusCode(status), headers, body, Some(length as usize), None)
        .with_chunked_threshold(usize::MAX)
}

fn header(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("headers here are plain ASCII")
}

fn header_of<'a>(request: &'a Request, name: &'static str) -> Option<&'a str> {
    request.headers().iter().find(|h| h.field.equiv(name)).map(|h| h.value.as_str())
}

fn host_is_local(request: &Request) -> bool {
    let host = header_of(request, "Host").unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name, "127.0.0.1" | "localhost")
}

#[cfg(test)]
mod tests;
