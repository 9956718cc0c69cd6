//! The routes: what is asked by path and method, and what is answered.
//!
//! It knows HTTP's messages and no sockets; the model's answers come from the worker. Invariant: nothing is looked at of a
//! request that the gate does not let in, and every answer has the headers of its kind.

use super::answers::Answers;
use super::body::{Body, Spoken};
use super::feedback;
use super::gate::{Gate, Origin};
use super::models::{self, Base};
use super::refusal::Refusal;
use super::request::ChatRequest;
use super::site::{Content, HEADERS, Reply, Site};
use super::speech::Voice;
use super::worker::{Job, Said};
use crate::cli::context;
use crate::learn::learner::{LearnResult, Learner};
use crate::store::look::{Copy, Watch};
use crate::store::sha256_hex;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Sender, unbounded_channel};

/// Bytes of a request's body.
const BODY_MAX: usize = 1 << 20;
/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);
/// What a client is told to wait before it asks for a busy thing again, seconds.
const RETRY_AFTER: &str = "5";

/// Headers of what is not the page.
const PLAIN_HEADERS: [(&str, &str); 3] = [
    ("Cache-Control", "no-store"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
];

/// All that answers need.
pub struct Front {
    /// Who may ask.
    pub gate: Gate,
    /// The page, if there is one.
    pub site: Option<Site>,
    /// Where questions wait for the worker.
    pub jobs: Sender<Job>,
    /// The last answers.
    pub answers: Arc<Mutex<Answers>>,
    /// The home that is looked at, and taught.
    pub home: PathBuf,
    /// The base model, for the list.
    pub base: Base,
    /// The seed that the home is opened with.
    pub seed: u64,
    /// Ids given so far.
    pub ids: AtomicU64,
    /// Held while the home is.
    pub teaching: Mutex<()>,
}

type Answer = Result<Response<Body>, Refusal>;

impl Front {
    /// The answer to any request.
    pub async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let headers = request.headers();
        let host = one(headers, header::HOST).unwrap_or_default().to_string();
        let origin = match headers.get_all(header::ORIGIN).iter().count() {
            0 => self.gate.origin(None, &host),
            _ => self.gate.origin(Some(one(headers, header::ORIGIN).unwrap_or_default()), &host),
        };
        let answer = if !self.gate.knows(&host) {
            let text =
                "this server does not answer to that name; call it by its address, or by --host";
            Err(Refusal::bad(text).with_status(403))
        } else if origin == Origin::Foreign {
            let text = "pages of other sites may not call this server; --allow-origin lets one in";
            Err(Refusal::bad(text).with_status(403))
        } else if request.method() == Method::OPTIONS {
            Ok(preflight(headers))
        } else {
            self.route(request).await
        };
        let mut response = answer.unwrap_or_else(|refusal| refused(&refusal));
        let headers = response.headers_mut();
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        if let Origin::Let(origin) = origin
            && let Ok(origin) = HeaderValue::from_str(&origin)
        {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.remove("Cross-Origin-Resource-Policy");
        }
        response
    }

    async fn route(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_string();
        let Some(call) = path.strip_prefix("/v1/") else { return self.page(&request) };
        let wanted = match call {
            "chat/completions" | "feedback" => Method::POST,
            "models" => Method::GET,
            _ if call.starts_with("models/") => Method::GET,
            _ => {
                let text = "there are /v1/chat/completions, /v1/models and /v1/feedback here";
                return Err(Refusal::bad(text).with_status(404));
            }
        };
        if *request.method() != wanted {
            return Err(Refusal::bad(format!("{path} takes {wanted}")).with_status(405));
        }
        match call {
            "chat/completions" => self.chat(&body(request).await?).await,
            "feedback" => self.feedback(&body(request).await?).await,
            "models" => self.models(None).await,
            _ => self.models(call.strip_prefix("models/").map(String::from)).await,
        }
    }

    async fn chat(&self, body: &[u8]) -> Answer {
        let request = ChatRequest::read(body)?;
        let (streams, tells_usage) = (request.streams, request.tells_usage);
        let (id, created_s) = (self.next_id(), context::clock()() / 1000);
        let (said, mut hearing) = unbounded_channel();
        let job = Job { id: id.clone(), request, said };
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => {
                Refusal::bad("too many questions wait already").with_status(503)
            }
            TrySendError::Closed(_) => gone(),
        })?;
        // Nothing is said to the client before the answer begins: what cannot be answered has a status of its own.
        let voice = match hearing.recv().await {
            Some(Said::Begun { model, fingerprint }) => Voice { id, created_s, model, fingerprint },
            Some(Said::Refused(refusal)) => return Err(refusal),
            _ => return Err(gone()),
        };
        if streams {
            let spoken = Spoken::new(hearing, voice, tells_usage);
            let mut response = Response::new(Body::Spoken(Box::new(spoken)));
            let kind = HeaderValue::from_static("text/event-stream; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            add(response.headers_mut(), &PLAIN_HEADERS);
            return Ok(response);
        }
        let mut text = String::new();
        loop {
            match hearing.recv().await {
                Some(Said::Text(more)) => text.push_str(&more),
                Some(Said::Ended(ending)) => return Ok(json(200, &voice.whole(&text, &ending))),
                Some(Said::Refused(refusal)) => return Err(refusal),
                Some(Said::Begun { .. }) => {}
                None => return Err(gone()),
            }
        }
    }

    async fn feedback(self: Arc<Self>, body: &[u8]) -> Answer {
        let answers = Arc::clone(&self.answers);
        let find = |id: &str| answers.lock().unwrap_or_else(PoisonError::into_inner).find(id);
        let example = feedback::read(body, find)?;
        let told = aside(move || {
            // Two at once would find the home held.
            let _turn = self.teaching.lock().unwrap_or_else(PoisonError::into_inner);
            pollster::block_on(feedback::keep(&self.home, self.seed, example))
        });
        Ok(json(200, &told.await?))
    }

    async fn models(self: Arc<Self>, name: Option<String>) -> Answer {
        let listed = aside(move || {
            let opened: LearnResult<Learner<Copy>> = pollster::block_on(async {
                let copy = Watch::open(&self.home)?.copy()?;
                Learner::open(copy, context::clock(), self.seed).await
            });
            let learner = opened?;
            match name {
                Some(name) => models::entry(&learner, &self.base, &name),
                None => models::list(&learner, &self.base),
            }
        });
        Ok(json(200, &listed.await?))
    }

    fn page(&self, request: &Request<Incoming>) -> Answer {
        let Some(site) = &self.site else {
            let text = "there is no page here; --page DIR serves one. The API is below /v1";
            return Err(Refusal::bad(text).with_status(404));
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(Refusal::bad("the page takes GET and HEAD").with_status(405));
        }
        let target = request.uri().path();
        let range = one(request.headers(), header::RANGE);
        let codings = one(request.headers(), header::ACCEPT_ENCODING).unwrap_or_default();
        let takes_gzip = codings.split(',').any(|coding| coding.trim() == "gzip");
        let Reply { status, headers, body } = site.reply(target, range, takes_gzip);
        let body = match body {
            Content::Text(text) => Ok(Body::text(text)),
            Content::Part { path, first, length } => Body::file(&path, first, length),
        };
        let body = body.map_err(|error| Refusal::bad(error.to_string()).with_status(500))?;
        let mut response = Response::new(body);
        *response.status_mut() = code(status);
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        add(response.headers_mut(), &headers);
        add(response.headers_mut(), &HEADERS);
        Ok(response)
    }

    /// An id that no other answer has, of this server or an earlier one.
    fn next_id(&self) -> String {
        let number = self.ids.fetch_add(1, Ordering::Relaxed);
        let name = format!("{} {} {number}", std::process::id(), context::clock()());
        format!("chatcmpl-{}", &sha256_hex(name.as_bytes())[..24])
    }
}

/// Does what waits for the disk, beside the thread that serves everybody.
async fn aside(
    work: impl FnOnce() -> Result<Value, Refusal> + Send + 'static,
) -> Result<Value, Refusal> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(gone()))
}

/// The body of a call, which must say that it is JSON: forms of other sites' pages cannot.
async fn body(request: Request<Incoming>) -> Result<Vec<u8>, Refusal> {
    let kind = one(request.headers(), header::CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let text = "the body must be JSON, with Content-Type: application/json";
        return Err(Refusal::bad(text).with_status(415));
    }
    let collected = Limited::new(request.into_body(), BODY_MAX).collect();
    match tokio::time::timeout(BODY_TIME, collected).await {
        Ok(Ok(body)) => Ok(body.to_bytes().to_vec()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Refusal::bad(format!("the body is over {BODY_MAX} bytes")).with_status(413))
        }
        Ok(Err(error)) => Err(Refusal::bad(format!("the body did not arrive: {error}"))),
        Err(_) => Err(Refusal::bad("the body did not arrive in time").with_status(408)),
    }
}

fn gone() -> Refusal {
    Refusal::bad("the model stopped; see the server's terminal").with_status(500)
}

/// The answer to a browser that asks, for a page that was let in, whether it may.
fn preflight(asked: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::Whole(None));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    let methods = HeaderValue::from_static("GET, POST");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    if let Some(wanted) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    response
}

fn refused(refusal: &Refusal) -> Response<Body> {
    let mut response = json(refusal.status, &refusal.body());
    if refusal.is_passing() {
        let wait = HeaderValue::from_static(RETRY_AFTER);
        response.headers_mut().insert(header::RETRY_AFTER, wait);
    }
    response
}

fn json(status: u16, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::text(value.to_string()));
    *response.status_mut() = code(status);
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    add(response.headers_mut(), &PLAIN_HEADERS);
    response
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn add(headers: &mut HeaderMap, more: &[(&str, &str)]) {
    for (name, value) in more {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    }
}

/// The value of a header that is there once; one that is there twice is none.
fn one(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}
