//! `apprentice serve`: the model behind OpenAI's HTTP API, with its versions as models, and the page beside it.
//!
//! One thread speaks HTTP with all clients, the engine's thread answers one question after another. HTTP is hyper's, on
//! tokio: what reads requests of strangers should have been read by many, and a server that streams to slow clients and
//! notices those that leave is most of what an async runtime does. It is the only part of the program that has one.
//! Invariant: it listens on this machine alone unless `--host` says otherwise.

mod answers;
mod body;
mod feedback;
mod front;
mod gate;
mod models;
mod outlet;
mod refusal;
mod request;
mod site;
mod speech;
mod worker;

use super::{Common, context, output};
use crate::error::Error;
use crate::model::CONTEXT;
use crate::store::StoreError;
use crate::store::look::Watch;
use answers::Answers;
use clap::Args;
use front::Front;
use gate::Gate;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use models::Base;
use serde_json::json;
use site::Site;
use std::convert::Infallible;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::channel;
use worker::Worker;

/// Connections at once.
const CONNECTIONS_MAX: usize = 128;
/// Questions that wait for the engine.
const WAITING_MAX: usize = 64;
/// How long a connection may be silent before a request's head is whole.
const HEAD_TIME: Duration = Duration::from_secs(60);
/// Where `cargo xtask page` leaves the page.
const PAGE: &str = "www/dist";

/// Arguments of `serve`.
#[derive(Args)]
pub struct ServeArgs {
    /// The address to listen on, or a name of it; other than 127.0.0.1 lets other machines in
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The port; 0 takes any that is free
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The folder of the built page [default: www/dist, if it is there]
    #[arg(long, value_name = "DIR")]
    page: Option<PathBuf>,
    /// Let pages of this origin call the API, such as http://localhost:3000
    #[arg(long, value_name = "ORIGIN", value_parser = gate::parse_origin)]
    allow_origin: Vec<String>,
    /// Most tokens of a conversation; fewer need less memory
    #[arg(long, default_value_t = CONTEXT)]
    context: usize,
}

pub async fn serve(common: &Common, args: ServeArgs) -> Result<(), Error> {
    let listener = bind(&args.host, args.port)?;
    let page = page_folder(args.page.as_deref())?;
    let home = context::home(common)?;
    make_home(common)?;
    let watch = Watch::open(&home)?;
    let path = context::model_path(common)?;
    let engine = context::engine_for(common, args.context).await?;
    let model = &engine.model;
    let base = Base {
        name: model.config.name.clone(),
        hash: model.base_hash.clone(),
        created_s: written_s(&path),
    };
    let cannot_read = |error| Error::file(&path, &error);
    let site = page.map(|page| Site::new(page, &path, &model.base_hash)).transpose();
    let site = site.map_err(cannot_read)?;
    let (jobs, waiting) = channel(WAITING_MAX);
    let answers = Arc::new(Mutex::new(Answers::default()));
    let has_page = site.is_some();
    let front = Front {
        gate: Gate::new(&args.host, args.allow_origin),
        site,
        jobs,
        answers: Arc::clone(&answers),
        home,
        base,
        seed: common.seed,
        ids: AtomicU64::new(0),
        teaching: Mutex::new(()),
    };
    let mut worker = Worker::new(engine, watch, answers, common.seed).await?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    std::thread::Builder::new()
        .name("http".into())
        .spawn(move || speak(listener, front))
        .map_err(cannot_listen)?;
    announce(common, &args.host, address, has_page)?;
    worker.run(waiting).await;
    Err(Error::Misuse("the server's thread ended; start it again".into()))
}

fn announce(common: &Common, host: &str, at: SocketAddr, has_page: bool) -> Result<(), Error> {
    match common.json {
        true => output::json(&json!({ "url": format!("http://{at}"), "page": has_page }))?,
        false => output::line(&format!("http://{at}"))?,
    }
    let page = if has_page { ", the page is at /" } else { "" };
    let who = match gate::is_loopback(host) {
        true => "on this machine only",
        false => "whoever reaches this address may ask the model and teach it",
    };
    eprintln!("OpenAI's API is below /v1{page}; {who}; Ctrl-C ends it");
    Ok(())
}

fn cannot_listen(error: std::io::Error) -> Error {
    Error::Misuse(format!("cannot listen: {error}"))
}

fn bind(host: &str, port: u16) -> Result<TcpListener, Error> {
    TcpListener::bind((host, port)).map_err(|error| {
        let text =
            format!("cannot listen on {host}:{port}: {error}; choose a free one with --port");
        Error::Misuse(text)
    })
}

/// The folder that was asked for, or the built page if it is there.
fn page_folder(asked: Option<&Path>) -> Result<Option<PathBuf>, Error> {
    let is_page = |folder: &Path| folder.join("index.html").is_file();
    match asked {
        Some(folder) if is_page(folder) => Ok(Some(folder.into())),
        Some(folder) => {
            let text = "has no index.html; `cargo xtask page` builds the page into www/dist";
            Err(Error::Misuse(format!("{} {text}", folder.display())))
        }
        None => Ok(Some(PathBuf::from(PAGE)).filter(|folder| is_page(folder))),
    }
}

/// Makes the home if it is missing, and brings an older one up to date; afterwards it is only looked at.
fn make_home(common: &Common) -> Result<(), Error> {
    match context::store(common) {
        Err(Error::Store(StoreError::Held { process, .. })) => {
            eprintln!(
                "process {process} has the home open; its versions answer, feedback waits for its end"
            );
            Ok(())
        }
        made => made.map(drop),
    }
}

/// When a file was written, seconds since 1970; 0 where nobody knows.
fn written_s(path: &Path) -> u64 {
    let written = fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let since = written.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_secs())
}

/// Speaks with all clients until the process ends.
fn speak(listener: TcpListener, front: Front) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let spoken = runtime.and_then(|runtime| runtime.block_on(accept(listener, Arc::new(front))));
    if let Err(error) = spoken {
        eprintln!("error: the server stopped: {error}");
    }
}

async fn accept(listener: TcpListener, front: Arc<Front>) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of handles: some connection will end.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // One connection too many is closed at once.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let front = Arc::clone(&front);
        tokio::spawn(async move {
            // Events are small and should not wait for each other.
            stream.set_nodelay(true).ok();
            let service = service_fn(move |request| {
                let front = Arc::clone(&front);
                async move { Ok::<_, Infallible>(front.answer(request).await) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
            // The only failures are clients that went away, and bytes that are no HTTP.
            http.serve_connection(TokioIo::new(stream), service).await.ok();
            drop(place);
        });
    }
}
