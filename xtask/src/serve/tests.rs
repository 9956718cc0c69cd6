//! The server over a real socket: what a browser would send, and what nobody should get an answer to.
//!
//! It knows nothing of the real page. Invariant: every answer, errors included, carries every header of `HEADERS`.

use super::*;

struct Running {
    address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Running {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("dist")).unwrap();
        std::fs::write(dir.path().join("dist/index.html"), "page").unwrap();
        std::fs::write(dir.path().join("dist/app.js"), "code").unwrap();
        std::fs::write(dir.path().join("dist/app.js.gz"), "packed").unwrap();
        let model = dir.path().join("model.gguf");
        std::fs::write(&model, (0..=255).cycle().take(100_000).collect::<Vec<u8>>()).unwrap();
        let site = Site::new(dir.path().join("dist"), &model, "no one asks for it here").unwrap();
        let listener = bind(Some(0)).unwrap();
        let address = listener.local_addr().unwrap();
        // The thread ends with the test's process.
        std::thread::spawn(move || answer_all(&listener, &Arc::new(site)));
        Self { address, _dir: dir }
    }

    /// Sends one request; returns status line and headers, and the body.
    fn send(&self, request: &str, more: &str) -> (String, Vec<u8>) {
        let host = if more.contains("Host:") { "" } else { "Host: localhost:1\r\n" };
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(stream, "{request} HTTP/1.1\r\n{host}{more}Connection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        for (name, value) in HEADERS {
            assert!(head.contains(&format!("{name}: {value}")), "{request} lacks {name}: {head}");
        }
        (head, answer[end + 4..].to_vec())
    }
}

#[test]
fn page_and_model_are_served_with_every_header() {
    let running = Running::start();
    let (head, body) = running.send("GET /", "");
    assert!(head.starts_with("HTTP/1.1 200") && body == b"page", "{head}");
    let (head, body) = running.send("GET /model.gguf", "");
    assert!(head.contains("Content-Length: 100000"), "{head}");
    assert_eq!(body.len(), 100_000);
    let (head, body) = running.send("HEAD /model.gguf", "");
    assert!(head.contains("Content-Length: 100000") && body.is_empty(), "{head}");
    let (head, body) = running.send("GET /model.gguf", "Range: bytes=99998-\r\n");
    assert!(head.starts_with("HTTP/1.1 206"), "{head}");
    assert!(head.contains("Content-Range: bytes 99998-99999/100000"), "{head}");
    assert_eq!(body, [(99_998 % 256) as u8, (99_999 % 256) as u8]);
}

#[test]
fn a_packed_copy_goes_to_who_takes_one_and_is_no_file_by_itself() {
    let running = Running::start();
    let (head, body) = running.send("GET /app.js", "Accept-Encoding: br, gzip\r\n");
    assert!(head.contains("Content-Encoding: gzip") && head.contains("Vary: Accept-Encoding"));
    assert!(head.contains("Content-Type: text/javascript"), "{head}");
    assert_eq!(body, b"packed");
    for more in ["", "Accept-Encoding: gzipped\r\n", "Accept-Encoding: gzip\r\nRange: bytes=0-\r\n"]
    {
        let (head, body) = running.send("GET /app.js", more);
        assert!(!head.contains("Content-Encoding"), "{more}: {head}");
        assert_eq!(body, b"code", "{more}");
    }
    assert!(running.send("GET /app.js.gz", "").0.starts_with("HTTP/1.1 404"));
}

#[test]
fn what_is_not_the_pages_is_refused() {
    let running = Running::start();
    for (request, more, status) in [
        ("GET /../model.gguf", "", "404"),
        ("GET /nothing.js", "", "404"),
        ("POST /", "Content-Length: 0\r\n", "405"),
        ("GET /model.gguf", "Range: bytes=100000-\r\n", "416"),
        ("GET /model.gguf", "Host: evil.example:8080\r\n", "403"),
    ] {
        let (head, _) = running.send(request, more);
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {head}");
    }
}

#[test]
fn idle_connections_and_slow_readers_do_not_stop_the_others() {
    let running = Running::start();
    let open = |request: &[u8]| {
        let mut stream = TcpStream::connect(running.address).unwrap();
        stream.write_all(request).unwrap();
        stream
    };
    // Some never ask, some ask for the model and do not read on.
    let _idle: Vec<TcpStream> = (0..20).map(|_| open(b"")).collect();
    let model = b"GET /model.gguf HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let _slow: Vec<TcpStream> = (0..20).map(|_| open(model)).collect();
    for _ in 0..20 {
        assert_eq!(running.send("GET /", "").1, b"page");
    }
}

#[test]
fn a_taken_port_is_told() {
    let running = Running::start();
    let error = bind(Some(running.address.port())).err().unwrap();
    assert!(error.contains("--port"), "{error}");
}
