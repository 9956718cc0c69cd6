//! What a request may say: the values that arrive, and the name of the parameter in every refusal.
//!
//! It knows no server. Invariant: each row of a table differs from a good request in one field.

use super::*;
use serde_json::json;

/// A request that is good, with more fields.
fn read(more: Value) -> Result<ChatRequest, Refusal> {
    let mut body =
        json!({ "model": "apprentice", "messages": [{ "role": "user", "content": "Hi" }] });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    ChatRequest::read(body.to_string().as_bytes())
}

#[track_caller]
fn check_refused(more: Value, param: &str) {
    let refusal = read(more.clone()).expect_err(&more.to_string());
    assert_eq!(refusal.status, 400, "{more}");
    assert_eq!(refusal.body()["error"]["param"], param, "{more}");
}

#[test]
fn a_plain_request_is_greedy_and_whole() {
    let request = read(json!({})).unwrap();
    let sampling = Sampling { top_k: 0, top_p: 1.0, ..Sampling::default() };
    assert_eq!((request.model.as_str(), &request.sampling), ("apprentice", &sampling));
    assert_eq!(request.messages, [Message::user("Hi")]);
    let rest = (request.tokens_max, request.stops.len(), request.streams, request.is_seeded);
    assert_eq!(rest, (None, 0, false, false));
}

#[test]
fn what_the_engine_has_arrives() {
    let request = read(json!({
        "temperature": 0.7, "top_p": 0.9, "top_k": 5, "repetition_penalty": 1.1, "seed": -1,
        "max_completion_tokens": 7, "stop": ["a", "b"], "stream": true,
        "stream_options": { "include_usage": true }, "user": "me", "n": 1, "tools": [],
        "frequency_penalty": 0, "logprobs": false, "store": null, "response_format": { "type": "text" },
    }));
    let request = request.unwrap();
    let sampling = Sampling {
        temperature: 0.7,
        top_k: 5,
        top_p: 0.9,
        repetition_penalty: 1.1,
        seed: u64::MAX,
    };
    assert_eq!(request.sampling, sampling);
    assert_eq!((request.tokens_max, request.stops), (Some(7), vec!["a".into(), "b".into()]));
    assert!(request.streams && request.tells_usage && request.is_seeded);
    let format = json!({ "type": "json_schema", "json_schema": { "schema": { "type": "null" } } });
    let request = read(json!({ "response_format": format })).unwrap();
    assert_eq!(request.form, Form::read(&format).unwrap());
    assert!(request.form.is_some());
    assert_eq!(read(json!({ "max_tokens": 3, "stop": "x" })).unwrap().tokens_max, Some(3));
}

#[test]
fn what_would_change_the_answer_is_refused_by_name() {
    for (name, value) in [
        ("frequency_penalty", json!(0.5)),
        ("presence_penalty", json!(-1)),
        ("n", json!(2)),
        ("logprobs", json!(true)),
        ("logit_bias", json!({ "5": 1 })),
        ("tools", json!([{}])),
        ("tool_choice", json!("required")),
        ("reasoning_effort", json!("high")),
        ("temprature", json!(1)),
        ("temperature", json!(2.5)),
        ("temperature", json!("hot")),
        ("top_p", json!(1.5)),
        ("seed", json!(1.5)),
        ("max_tokens", json!(0)),
        ("max_tokens", json!(1e30)),
        ("stop", json!(["a", "b", "c", "d", "e"])),
        ("stop", json!("")),
        ("stream", json!("yes")),
        ("stream_options", json!({})),
        ("model", json!(null)),
        ("messages", json!([])),
        ("response_format", json!({ "type": "xml" })),
    ] {
        check_refused(json!({ name: value }), name);
    }
    check_refused(json!({ "max_tokens": 1, "max_completion_tokens": 2 }), "max_tokens");
    let options = json!({ "stream": true, "stream_options": { "usage": true } });
    check_refused(options, "stream_options.usage");
}

#[test]
fn messages_are_texts_of_three_roles() {
    let parts = json!([{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }]);
    let messages = json!([
        { "role": "developer", "content": "Be brief." },
        { "role": "user", "content": parts },
        { "role": "assistant", "content": "c", "refusal": null, "tool_calls": [], "name": null },
        { "role": "user", "content": "" },
    ]);
    let request = read(json!({ "messages": messages })).unwrap();
    let told: Vec<(&str, &str)> =
        request.messages.iter().map(|m| (m.role.as_str(), m.content.as_str())).collect();
    assert_eq!(told, [("system", "Be brief."), ("user", "ab"), ("assistant", "c"), ("user", "")]);
    for (message, param) in [
        (json!("Hi"), "messages[0]"),
        (json!({ "role": "tool", "content": "x" }), "messages[0].role"),
        (json!({ "content": "x" }), "messages[0].role"),
        (json!({ "role": "user" }), "messages[0].content"),
        (json!({ "role": "user", "content": "x", "name": "Ada" }), "messages[0].name"),
        (
            json!({ "role": "assistant", "content": "x", "tool_calls": [1] }),
            "messages[0].tool_calls",
        ),
        (json!({ "role": "user", "content": [{ "type": "image_url" }] }), "messages[0].content[0]"),
    ] {
        check_refused(json!({ "messages": [message] }), param);
    }
}

#[test]
fn what_is_no_object_is_told() {
    for body in ["", "[1]", "{", "\"x\""] {
        let refusal = ChatRequest::read(body.as_bytes()).unwrap_err();
        assert_eq!((refusal.status, refusal.body()["error"]["param"].is_null()), (400, true));
    }
}
