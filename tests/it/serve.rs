//! `apprentice serve` as its clients see it: the real program on a port of its own, spoken to in plain HTTP.
//!
//! The model is the tiny one, so what it says means nothing, but says it in moments. Invariant: nothing here depends on how
//! long anything takes, but that a thousand tokens are not there at once.

use crate::tiny;
use apprentice::device::Device;
use apprentice::format::source::BytesSource;
use apprentice::learn::engine::Engine;
use apprentice::learn::example::Kind;
use apprentice::learn::exchange::Foreign;
use apprentice::learn::learner::Learner;
use apprentice::learn::version::Version;
use apprentice::model::Model;
use apprentice::model::method::Method;
use apprentice::quant::TensorType;
use apprentice::store::native::NativeStore;
use apprentice::store::{Store, Table, Write};
use client::{Reply, Server};
use pollster::block_on;
use serde_json::{Value, json};
use std::path::Path;

mod client;

/// Tokens of a conversation, as the server has them by default.
const CONTEXT: usize = 2_048;

fn model_file() -> Vec<u8> {
    tiny::file_for(TensorType::Q8_0, 3, CONTEXT)
}

fn open(home: &Path) -> Learner<NativeStore> {
    let store = NativeStore::open(home).unwrap();
    block_on(Learner::open(store, Box::new(|| 1_700_000_000_000), 0)).unwrap()
}

/// Two versions in a home, the second tagged; HEAD stays the base model.
fn versions(home: &Path) -> [String; 2] {
    let mut source = BytesSource::new("tiny.gguf", model_file());
    let model = block_on(Model::load(&Device::cpu(), &mut source, &mut |_, _, _| {})).unwrap();
    let adapters = [1, 2].map(|seed| tiny::adapter(&model.config, Method::Lora, 4, seed));
    let (mut engine, mut learner) = (Engine::new(model), open(home));
    let ids = adapters.map(|adapter| {
        let foreign = Foreign::bare(adapter, "a test".into());
        block_on(learner.import(&mut engine, foreign)).unwrap()
    });
    block_on(learner.tag("second", Some(&ids[1]), false)).unwrap();
    ids
}

/// Makes a version HEAD as if it had been learned here, as another process does while a server runs.
fn move_head(home: &Path, version: &str) {
    let store = NativeStore::open(home).unwrap();
    let record = block_on(store.get(Table::Versions, version)).unwrap().unwrap();
    let imported = Version::from_record(version, &record).unwrap();
    let own = Version { origin: None, ..imported }.sealed();
    let head = json!({ "version": own.id }).to_string().into_bytes();
    let writes = [
        Write::put(Table::Versions, own.id.as_str(), own.record()),
        Write::put(Table::Refs, "HEAD", head),
    ];
    block_on(store.apply(&writes)).unwrap();
}

/// A question. It is drawn warmly: what a random model finds most likely is white space.
fn asking(model: &str, more: Value) -> Value {
    let messages = json!([{ "role": "user", "content": "the owl and the hen" }]);
    let mut body = json!({
        "model": model, "messages": messages, "max_tokens": 24, "temperature": 2.0, "seed": 5,
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn said(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()["choices"][0]["message"]["content"].as_str().unwrap().to_string()
}

#[test]
fn an_answer_is_the_same_whole_and_in_pieces() {
    let server = Server::start(&model_file(), &[]);
    let whole = server.chat(&asking("base", json!({})));
    let text = said(&whole);
    let whole = whole.json();
    assert_eq!((&whole["object"], &whole["model"]), (&json!("chat.completion"), &json!("base")));
    assert_eq!(whole["choices"][0]["finish_reason"], "length");
    assert_eq!(whole["usage"]["completion_tokens"], 24);
    let used = |name: &str| whole["usage"][name].as_u64().unwrap();
    assert_eq!(used("total_tokens"), used("prompt_tokens") + 24);
    let stream = json!({ "stream": true, "stream_options": { "include_usage": true } });
    let events = server.chat(&asking("base", stream)).events();
    let pieces = events.iter().filter_map(|e| e["choices"][0]["delta"]["content"].as_str());
    assert_eq!(pieces.collect::<String>(), text);
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    let ends: Vec<&Value> =
        events.iter().filter(|e| !e["choices"][0]["finish_reason"].is_null()).collect();
    assert_eq!((ends.len(), &ends[0]["choices"][0]["finish_reason"]), (1, &json!("length")));
    let last = events.last().unwrap();
    assert_eq!((&last["choices"], &last["usage"]["completion_tokens"]), (&json!([]), &json!(24)));
    let ids: Vec<&Value> = events.iter().map(|event| &event["id"]).collect();
    assert!(ids.iter().all(|id| *id == ids[0] && *id != &whole["id"]));
    // The stream's usage is told to who asks for it only.
    let plain = server.chat(&asking("base", json!({ "stream": true }))).events();
    assert!(plain.iter().all(|event| event.get("usage").is_none()));
}

#[test]
fn stop_sequences_seeds_and_limits_are_honoured() {
    let server = Server::start(&model_file(), &[]);
    let text = said(&server.chat(&asking("base", json!({}))));
    let middle: Vec<char> = text.chars().skip(8).take(3).collect();
    let stop = String::from_iter(middle);
    let cut = server.chat(&asking("base", json!({ "stop": [stop, "\u{1}never"] })));
    assert_eq!(said(&cut), text[..text.find(&stop).unwrap()].trim());
    assert_eq!(cut.json()["choices"][0]["finish_reason"], "stop");
    let warm = |seed: u64| asking("base", json!({ "temperature": 2.0, "seed": seed }));
    let [a, again, b] = [1, 1, 2].map(|seed| said(&server.chat(&warm(seed))));
    assert_eq!(a, again);
    assert_ne!(a, b);
    let long = json!([{ "role": "user", "content": "x".repeat(2 * CONTEXT) }]);
    let refused = server.chat(&asking("base", json!({ "messages": long })));
    assert_eq!((refused.status, refused.code()), (400, "context_length_exceeded".into()));
    let refused = server.chat(&asking("base", json!({ "frequency_penalty": 1 })));
    assert_eq!((refused.status, refused.param()), (400, "frequency_penalty".into()));
}

#[test]
fn versions_are_models_and_head_moves_under_the_server() {
    let home = tempfile::tempdir().unwrap();
    let [first, second] = versions(home.path());
    let server = Server::start_in(home.path(), &model_file(), &[]);
    let list = server.get("/v1/models").json();
    let names: Vec<&str> =
        list["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
    assert_eq!(names[..3], ["apprentice", "base", "second"]);
    assert!(names.len() == 5 && names.contains(&&*first) && names.contains(&&*second));
    let one = server.get("/v1/models/second").json();
    assert_eq!((&one["version"], &one["object"]), (&json!(second), &json!("model")));
    let ask = |model: &str| server.chat(&asking(model, json!({})));
    let texts = ["base", &first, &second].map(|model| said(&ask(model)));
    assert!(texts[0] != texts[1] && texts[1] != texts[2], "{texts:?}");
    assert_eq!(
        (said(&ask("second")), said(&ask("apprentice"))),
        (texts[2].clone(), texts[0].clone())
    );
    assert_eq!(ask("second").json()["model"], json!(second));
    let prints = ["base", "second"].map(|model| ask(model).json()["system_fingerprint"].clone());
    assert_ne!(prints[0], prints[1]);
    // Another process moves HEAD, and then keeps the home open: the server goes on, and sees it.
    move_head(home.path(), &first);
    let held = open(home.path());
    assert_eq!(said(&ask("apprentice")), texts[1]);
    assert_eq!(said(&ask("second")), texts[2]);
    drop(held);
    let none = ask("gpt-4o");
    assert_eq!(
        (none.status, none.code(), none.param()),
        (404, "model_not_found".into(), "model".into())
    );
    assert_eq!(server.get("/v1/models/gpt-4o").status, 404);
}

#[test]
fn feedback_becomes_an_example() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start_in(home.path(), &model_file(), &[]);
    let answer = server.chat(&asking("apprentice", json!({})));
    let id = answer.json()["id"].clone();
    let correct = json!({ "completion_id": id, "correction": "The owl sleeps." });
    let told = server.feedback(&correct).json();
    let example = told["example"].as_str().unwrap().to_string();
    assert_eq!((&told["kind"], &told["pending"]), (&json!("correction"), &json!(1)));
    assert_eq!(server.feedback(&correct).json()["known"], true);
    {
        let learner = open(home.path());
        let kept = learner.examples().into_iter().find(|kept| kept.id == example).unwrap().clone();
        assert_eq!((kept.kind, kept.source.as_str()), (Kind::Correction, "http"));
        assert_eq!(kept.rejected, Some(said(&answer)));
        // While another process has the home, nothing is lost and nothing waits for ever.
        let refused = server.feedback(&json!({ "completion_id": id, "approved": true }));
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5".into())));
        assert!(refused.body.contains("has the home"), "{}", refused.body);
    }
    let approved = server.feedback(&json!({ "completion_id": id, "approved": true }));
    assert_eq!(approved.status, 200, "the answer that was approved takes the correction's place");
    let long = "x".repeat(20_000);
    let refused = server.feedback(&json!({ "completion_id": id, "correction": long }));
    assert_eq!(refused.status, 400, "{}", refused.body);
}

#[test]
fn several_clients_are_answered_and_one_that_leaves_stops_its_answer() {
    let home = tempfile::tempdir().unwrap();
    // The second version's most likely tokens are a text of a thousand tokens at least.
    let [_, second] = versions(home.path());
    let server = Server::start_in(home.path(), &model_file(), &[]);
    let long = server.chat(&asking(&second, json!({ "max_tokens": 1_000, "temperature": 0 })));
    assert_eq!(long.json()["choices"][0]["finish_reason"], "length");
    let longer = json!({ "max_tokens": 2_000, "stream": true, "temperature": 0 });
    let id = server.leave_early(&asking(&second, longer));
    let alone = said(&server.chat(&asking("base", json!({}))));
    let all: Vec<String> = std::thread::scope(|scope| {
        let ask = || said(&server.chat(&asking("base", json!({}))));
        let asked: Vec<_> = (0..6).map(|_| scope.spawn(ask)).collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(all, vec![alone; 6]);
    // What was said before its client left is known by its id, and is less than what half of it would be.
    let told = server.feedback(&json!({ "completion_id": id, "approved": true })).json();
    let learner = open(home.path());
    let kept = learner.examples().into_iter().find(|kept| kept.id == told["example"]).unwrap();
    let (_, text) = kept.content.question_answer().unwrap();
    let (left, whole) = (text.chars().count(), said(&long).chars().count());
    assert!(left < whole, "{left} characters, {whole} of half the answer");
}

#[test]
fn only_who_may_ask_is_answered() {
    let server = Server::start(&model_file(), &["--allow-origin", "http://localhost:3000"]);
    let status = |headers: &[(&str, &str)]| server.send("GET", "/v1/models", headers, "").status;
    assert_eq!(status(&[]), 200);
    assert_eq!(status(&[("Host", "evil.example")]), 403);
    assert_eq!(status(&[("Host", "")]), 403);
    assert_eq!(status(&[("Origin", "https://evil.example")]), 403);
    assert_eq!(status(&[("Origin", "null")]), 403);
    assert_eq!(
        status(&[("Origin", "http://localhost:3000"), ("Origin", "http://localhost:3000")]),
        403
    );
    let own = [("Host", "localhost:7"), ("Origin", "http://localhost:7")];
    let reply = server.send("GET", "/v1/models", &own, "");
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, None));
    let let_in = [("Origin", "http://localhost:3000")];
    let reply = server.send("GET", "/v1/models", &let_in, "");
    let allowed = Some("http://localhost:3000".to_string());
    assert_eq!(reply.header("access-control-allow-origin"), allowed);
    let asks = [let_in[0], ("Access-Control-Request-Headers", "authorization,content-type")];
    let reply = server.send("OPTIONS", "/v1/chat/completions", &asks, "");
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (204, allowed));
    let headers = reply.header("access-control-allow-headers");
    assert_eq!(headers.as_deref(), Some("authorization,content-type"));
    let body = asking("base", json!({})).to_string();
    let plain = [("Content-Type", "text/plain")];
    for (method, path, headers, body, status) in [
        ("POST", "/v1/chat/completions", &plain[..], body.as_str(), 415),
        ("POST", "/v1/chat/completions", &[], &" ".repeat(2 << 20), 413),
        ("GET", "/v1/chat/completions", &[], "", 405),
        ("POST", "/v1/embeddings", &[], "{}", 404),
        ("GET", "/", &[], "", 404),
    ] {
        let reply = server.send(method, path, headers, body);
        assert_eq!(
            (reply.status, &reply.json()["error"]["type"]),
            (status, &json!("invalid_request_error"))
        );
        assert_eq!(reply.header("cache-control").as_deref(), Some("no-store"));
    }
}

#[test]
fn the_page_is_served_with_its_headers() {
    let page = tempfile::tempdir().unwrap();
    std::fs::write(page.path().join("index.html"), "page").unwrap();
    std::fs::write(page.path().join("app.js"), "code").unwrap();
    std::fs::write(page.path().join("app.js.gz"), "packed").unwrap();
    let model = model_file();
    let server = Server::start(&model, &["--page", page.path().to_str().unwrap()]);
    let index = server.get("/");
    assert_eq!((index.status, index.body.as_str()), (200, "page"));
    let policy = index.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"));
    assert_eq!(index.header("cross-origin-embedder-policy").as_deref(), Some("require-corp"));
    let packed = server.send("GET", "/app.js", &[("Accept-Encoding", "br, gzip")], "");
    assert_eq!(
        (packed.body.as_str(), packed.header("content-encoding")),
        ("packed", Some("gzip".into()))
    );
    let head = server.send("HEAD", "/model.gguf", &[], "");
    let bytes = model.len().to_string();
    assert_eq!((head.header("content-length"), head.body.len()), (Some(bytes.clone()), 0));
    let part = server.send("GET", "/model.gguf", &[("Range", "bytes=0-3")], "");
    assert_eq!((part.status, part.body.as_str()), (206, "GGUF"));
    assert_eq!(part.header("content-range"), Some(format!("bytes 0-3/{bytes}")));
    assert_eq!(server.get("/model.json").json()["bytes"], model.len());
    for path in ["/../model.gguf", "/%2e%2e/home", "/nothing.js", "/app.js.gz"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    assert_eq!(server.send("POST", "/", &[], "{}").status, 405);
}

#[test]
fn a_wrong_start_is_one_line() {
    let model = model_file();
    for (args, wanted) in [
        (["--page", "/nowhere"], "has no index.html"),
        (["--allow-origin", "*"], "is no origin"),
        (["--host", "no.such.name.invalid"], "cannot listen on"),
    ] {
        let told = Server::refused(&model, &args);
        assert!(told.contains(wanted), "{told}");
    }
}
