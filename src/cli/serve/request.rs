//! A chat request in OpenAI's shape, read: what the engine can do is taken, the rest is refused by name.
//!
//! It knows no engine. Invariant: a field that would change the answer is honoured or refused, never passed over; one that
//! says what would be done anyway, or that only labels the request, is let through.

use super::refusal::Refusal;
use crate::format::message::Message;
use crate::model::constraint::Form;
use crate::model::sampler::{Sampling, TOP_K_MAX};
use serde_json::{Map, Value};

/// Most stop sequences, as OpenAI has it.
const STOPS_MAX: usize = 4;

/// Fields that change no answer.
const LABELS: [&str; 7] = [
    "metadata",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
];

/// Fields of what the engine has not, with the values that ask for nothing (as JSON).
const ABSENT: [(&str, &[&str]); 18] = [
    ("audio", &[]),
    ("frequency_penalty", &["0", "0.0"]),
    ("function_call", &["\"none\"", "\"auto\""]),
    ("functions", &["[]"]),
    ("logit_bias", &["{}"]),
    ("logprobs", &["false"]),
    ("modalities", &["[\"text\"]"]),
    ("moderation", &[]),
    ("n", &["1"]),
    ("parallel_tool_calls", &["true", "false"]),
    ("prediction", &[]),
    ("presence_penalty", &["0", "0.0"]),
    ("reasoning_effort", &["\"none\""]),
    ("tool_choice", &["\"none\"", "\"auto\""]),
    ("tools", &["[]"]),
    ("top_logprobs", &["0"]),
    ("verbosity", &[]),
    ("web_search_options", &[]),
];

/// A chat request.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// Who is asked: a name of `models`.
    pub model: String,
    /// The conversation.
    pub messages: Vec<Message>,
    /// How to draw; its seed only where the request has one.
    pub sampling: Sampling,
    /// Whether the request has a seed.
    pub is_seeded: bool,
    /// Most tokens of the answer; without one as many as fit.
    pub tokens_max: Option<usize>,
    /// What ends the answer.
    pub stops: Vec<String>,
    /// What the answer must be, if not any text.
    pub form: Option<Form>,
    /// Whether the answer comes piece by piece.
    pub streams: bool,
    /// Whether a stream ends with what was used.
    pub tells_usage: bool,
}

type Read<T> = Result<T, Refusal>;

impl ChatRequest {
    /// Reads a request's body.
    pub fn read(body: &[u8]) -> Read<ChatRequest> {
        let fields = object(body)?;
        refuse_absent(&fields)?;
        let streams = flag(&fields, "stream")?;
        let request = ChatRequest {
            model: model(&fields)?,
            messages: messages(fields.get("messages"))?,
            sampling: sampling(&fields)?,
            is_seeded: given(&fields, "seed").is_some(),
            tokens_max: tokens_max(&fields)?,
            stops: stops(&fields)?,
            form: form(&fields)?,
            streams,
            tells_usage: tells_usage(&fields, streams)?,
        };
        const KNOWN: [&str; 13] = [
            "max_completion_tokens",
            "max_tokens",
            "messages",
            "model",
            "repetition_penalty",
            "response_format",
            "seed",
            "stop",
            "stream",
            "stream_options",
            "temperature",
            "top_k",
            "top_p",
        ];
        refuse_unknown(&fields, |name| {
            KNOWN.contains(&name)
                || LABELS.contains(&name)
                || ABSENT.iter().any(|(absent, _)| *absent == name)
        })?;
        Ok(request)
    }
}

/// A body's JSON object.
pub fn object(body: &[u8]) -> Read<Map<String, Value>> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Refusal::bad("the body must be a JSON object")),
        Err(error) => Err(Refusal::bad(format!("the body is no JSON: {error}"))),
    }
}

/// Refuses fields that nobody knows: one that is misspelled must not be passed over.
pub fn refuse_unknown(fields: &Map<String, Value>, is_known: impl Fn(&str) -> bool) -> Read<()> {
    match fields.keys().find(|name| !is_known(name)) {
        Some(name) => Err(Refusal::of(name, format!("there is no parameter `{name}` here"))
            .with_code("unknown_parameter")),
        None => Ok(()),
    }
}

/// A field's value; null is none.
pub fn given<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

/// A field that is true or false; without one it is false.
pub fn flag(fields: &Map<String, Value>, name: &str) -> Read<bool> {
    match given(fields, name) {
        None => Ok(false),
        Some(value) => value
            .as_bool()
            .ok_or_else(|| Refusal::of(name, format!("`{name}` must be true or false"))),
    }
}

/// A field that is a text.
pub fn text(fields: &Map<String, Value>, name: &str) -> Read<Option<String>> {
    match given(fields, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Refusal::of(name, format!("`{name}` must be a string"))),
    }
}

/// A conversation in OpenAI's shape.
pub fn messages(value: Option<&Value>) -> Read<Vec<Message>> {
    let list = value.and_then(Value::as_array).filter(|list| !list.is_empty());
    let list =
        list.ok_or_else(|| Refusal::of("messages", "`messages` must be a list of at least one"))?;
    list.iter()
        .enumerate()
        .map(|(index, value)| message(&format!("messages[{index}]"), value))
        .collect()
}

fn message(at: &str, value: &Value) -> Read<Message> {
    let Value::Object(fields) = value else {
        return Err(Refusal::of(at, "a message must be an object with `role` and `content`"));
    };
    let param = |name: &str| format!("{at}.{name}");
    let role = match fields.get("role").and_then(Value::as_str) {
        // Newer clients' word for it.
        Some("system" | "developer") => "system",
        Some("user") => "user",
        Some("assistant") => "assistant",
        other => {
            let found = other.unwrap_or("none");
            let text =
                format!("the role {found:?} is not known here; use system, user or assistant");
            return Err(Refusal::of(param("role"), text));
        }
    };
    let content = match fields.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts = parts.iter().enumerate().map(|(index, part)| {
                let kind = part.get("type").and_then(Value::as_str);
                let text =
                    part.get("text").and_then(Value::as_str).filter(|_| kind == Some("text"));
                text.ok_or_else(|| {
                    Refusal::of(format!("{at}.content[{index}]"), "this model reads texts only")
                })
            });
            texts.collect::<Read<Vec<&str>>>()?.join("")
        }
        _ => return Err(Refusal::of(param("content"), "`content` must be a text")),
    };
    let nothing = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    // What a client copies from an earlier answer.
    let copied = ["annotations", "audio", "function_call", "refusal", "tool_calls"];
    let odd = fields.iter().find(|(name, value)| match name.as_str() {
        "role" | "content" => false,
        "name" => !value.is_null(),
        name => !(copied.contains(&name) && nothing(value)),
    });
    match odd {
        Some((name, _)) => {
            let text = format!("a message has only `role` and `content` here, not `{name}`");
            Err(Refusal::of(param(name), text))
        }
        None => Ok(Message { role: role.into(), content }),
    }
}

fn model(fields: &Map<String, Value>) -> Read<String> {
    let none = || Refusal::of("model", "`model` is missing; GET /v1/models lists them");
    text(fields, "model")?.ok_or_else(none)
}

fn refuse_absent(fields: &Map<String, Value>) -> Read<()> {
    for (name, neutral) in ABSENT {
        let Some(value) = given(fields, name) else { continue };
        if !neutral.contains(&value.to_string().as_str()) {
            let text = format!("`{name}` is not supported here; leave it out");
            return Err(Refusal::of(name, text).with_code("unsupported_parameter"));
        }
    }
    Ok(())
}

fn form(fields: &Map<String, Value>) -> Read<Option<Form>> {
    const NAME: &str = "response_format";
    let form = given(fields, NAME).map_or(Ok(None), Form::read);
    form.map_err(|reason| Refusal::of(NAME, reason))
}

fn number(fields: &Map<String, Value>, name: &str, low: f64, high: f64) -> Read<Option<f64>> {
    match given(fields, name) {
        None => Ok(None),
        Some(value) => {
            let number = value.as_f64().filter(|number| (low..=high).contains(number));
            let text = || format!("`{name}` must be a number from {low} to {high}");
            Ok(Some(number.ok_or_else(|| Refusal::of(name, text()))?))
        }
    }
}

fn whole(fields: &Map<String, Value>, name: &str, least: u64) -> Read<Option<u64>> {
    match given(fields, name) {
        None => Ok(None),
        Some(value) => {
            let number = value.as_u64().filter(|number| *number >= least);
            let text = || format!("`{name}` must be a whole number of {least} or more");
            Ok(Some(number.ok_or_else(|| Refusal::of(name, text()))?))
        }
    }
}

/// How to draw: greedily, as everywhere in this program, unless a temperature is asked for. The engine draws from the 64
/// most likely tokens at most.
fn sampling(fields: &Map<String, Value>) -> Read<Sampling> {
    let temperature = number(fields, "temperature", 0.0, 2.0)?.unwrap_or(0.0) as f32;
    let top_p = number(fields, "top_p", 0.0, 1.0)?.unwrap_or(1.0) as f32;
    // OpenAI's 0 keeps the most likely token alone.
    let top_p = top_p.max(f32::MIN_POSITIVE);
    let top_k = whole(fields, "top_k", 0)?.unwrap_or(0).min(TOP_K_MAX as u64) as usize;
    let penalty = number(fields, "repetition_penalty", 0.01, 100.0)?.unwrap_or(1.0) as f32;
    let seed = match given(fields, "seed") {
        None => 0,
        Some(seed) => {
            // Negative ones are seeds too.
            let whole = seed.as_u64().or_else(|| seed.as_i64().map(|seed| seed as u64));
            whole.ok_or_else(|| Refusal::of("seed", "`seed` must be a whole number"))?
        }
    };
    Ok(Sampling { temperature, top_k, top_p, repetition_penalty: penalty, seed })
}

fn tokens_max(fields: &Map<String, Value>) -> Read<Option<usize>> {
    let newer = whole(fields, "max_completion_tokens", 1)?;
    let older = whole(fields, "max_tokens", 1)?;
    if newer.is_some() && older.is_some() && newer != older {
        let text = "`max_tokens` and `max_completion_tokens` mean the same; give one of them";
        return Err(Refusal::of("max_tokens", text));
    }
    Ok(newer.or(older).map(|tokens| usize::try_from(tokens).unwrap_or(usize::MAX)))
}

fn stops(fields: &Map<String, Value>) -> Read<Vec<String>> {
    let wrong = || {
        let text =
            format!("`stop` must be a text or a list of up to {STOPS_MAX} texts, none empty");
        Refusal::of("stop", text)
    };
    let stops = match given(fields, "stop") {
        None => Vec::new(),
        Some(Value::String(stop)) => vec![stop.clone()],
        Some(Value::Array(stops)) => {
            let texts = stops.iter().map(|stop| stop.as_str().map(String::from));
            texts.collect::<Option<Vec<String>>>().ok_or_else(wrong)?
        }
        Some(_) => return Err(wrong()),
    };
    if stops.len() > STOPS_MAX || stops.iter().any(String::is_empty) {
        return Err(wrong());
    }
    Ok(stops)
}

fn tells_usage(fields: &Map<String, Value>, streams: bool) -> Read<bool> {
    const NAME: &str = "stream_options";
    match given(fields, NAME) {
        None => Ok(false),
        Some(_) if !streams => Err(Refusal::of(NAME, "`stream_options` needs `stream`")),
        Some(Value::Object(options)) => {
            // Padding against eavesdroppers has no place on a loopback.
            let known = ["include_usage", "include_obfuscation"];
            let inside = |refusal: Refusal| refusal.within(NAME);
            refuse_unknown(options, |name| known.contains(&name)).map_err(inside)?;
            flag(options, "include_usage").map_err(inside)
        }
        Some(_) => Err(Refusal::of(NAME, "`stream_options` must be an object")),
    }
}

#[cfg(test)]
mod tests;
