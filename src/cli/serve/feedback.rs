//! `POST /v1/feedback`: what a person says about an answer becomes an example, as `apprentice teach` makes one.
//!
//! `{"completion_id"}` or `{"messages", "answer"?}` says what was answered, and either `"correction"` (what should have been
//! said) or `"approved": true` what to think of it. A correction that does not tell the answer that it replaces is screened
//! like a file's. Invariant: the home is held only while the example is written, and an example says that it came this way.

use super::answers::Answered;
use super::refusal::Refusal;
use super::request::{flag, given, messages, object, refuse_unknown, text};
use crate::cli::context;
use crate::format::message::Message;
use crate::learn::example::{Content, Kind, NewExample};
use crate::learn::learner::Learner;
use crate::store::native::NativeStore;
use serde_json::{Value, json};
use std::path::Path;

/// The source of such examples.
const SOURCE: &str = "http";

const FIELDS: [&str; 5] = ["answer", "approved", "completion_id", "correction", "messages"];

/// The example of a request's body. `find` knows the last answers.
pub fn read(body: &[u8], find: impl Fn(&str) -> Option<Answered>) -> Result<NewExample, Refusal> {
    let fields = object(body)?;
    refuse_unknown(&fields, |name| FIELDS.contains(&name))?;
    let (mut conversation, answer) =
        match (text(&fields, "completion_id")?, given(&fields, "messages")) {
            (Some(id), None) => {
                if given(&fields, "answer").is_some() {
                    let message = "`completion_id` says what the answer was; leave `answer` out";
                    return Err(Refusal::of("answer", message));
                }
                let gone = || {
                    let message =
                        "the server does not remember this answer; give `messages` and `answer`";
                    Refusal::of("completion_id", message).with_status(404)
                };
                let answered = find(&id).ok_or_else(gone)?;
                (answered.messages, Some(answered.text))
            }
            (None, Some(list)) => (messages(Some(list))?, text(&fields, "answer")?),
            _ => {
                let message = "give either `completion_id` or `messages`, of what was answered";
                return Err(Refusal::of("completion_id", message));
            }
        };
    let (kind, learned, rejected) = match (text(&fields, "correction")?, flag(&fields, "approved")?)
    {
        (Some(right), false) => (Kind::Correction, right, answer),
        (None, true) => {
            let missing =
                || Refusal::of("answer", "an approval needs the `answer` that it approves");
            (Kind::Approval, answer.ok_or_else(missing)?, None)
        }
        _ => {
            let message = "give either `correction`, the right answer, or `approved`: true";
            return Err(Refusal::of("correction", message));
        }
    };
    if rejected.as_ref() == Some(&learned) {
        return Err(Refusal::of(
            "correction",
            "the correction is what was said; approve it instead",
        ));
    }
    conversation.push(Message::assistant(learned));
    let content = Content::Chat(conversation);
    Ok(NewExample { kind, content, source: SOURCE.into(), rejected, rephrasings: Vec::new() })
}

/// Puts the example into the home; gives what the client is told.
pub async fn keep(home: &Path, seed: u64, example: NewExample) -> Result<Value, Refusal> {
    let (id, kind) = (example.id(), example.kind);
    let store = NativeStore::open(home)?;
    let mut learner = Learner::open(store, context::clock(), seed).await?;
    let report = learner.teach(vec![example]).await?;
    Ok(json!({
        "object": "feedback", "example": id, "kind": kind, "known": report.duplicates > 0,
        "pending": learner.pending().len(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(body: Value) -> Result<NewExample, Refusal> {
        let known = Answered {
            id: "chatcmpl-1".into(),
            messages: vec![Message::user("Who?")],
            text: "Nobody.".into(),
        };
        read(body.to_string().as_bytes(), |id| (id == known.id).then(|| known.clone()))
    }

    #[test]
    fn a_correction_learns_the_right_answer_and_remembers_the_wrong_one() {
        let by_id = heard(json!({ "completion_id": "chatcmpl-1", "correction": "Oona." })).unwrap();
        let asked = json!([{ "role": "user", "content": "Who?" }]);
        let whole = json!({ "messages": asked, "answer": "Nobody.", "correction": "Oona." });
        assert_eq!(heard(whole).unwrap(), by_id);
        assert_eq!((by_id.kind, by_id.source.as_str()), (Kind::Correction, "http"));
        assert_eq!(by_id.rejected.as_deref(), Some("Nobody."));
        assert_eq!(by_id.content.question_answer(), Some(("Who?", "Oona.")));
        let unseen = heard(json!({ "messages": asked, "correction": "Oona." })).unwrap();
        assert_eq!(unseen.rejected, None);
        assert!(!unseen.stored(0, 1.0).is_own(), "nobody saw what it replaces");
    }

    #[test]
    fn an_approval_learns_what_was_said() {
        let example = heard(json!({ "completion_id": "chatcmpl-1", "approved": true })).unwrap();
        assert_eq!((example.kind, example.rejected.as_deref()), (Kind::Approval, None));
        assert_eq!(example.content.question_answer(), Some(("Who?", "Nobody.")));
    }

    #[test]
    fn what_says_too_little_or_too_much_is_refused_by_name() {
        let asked = json!([{ "role": "user", "content": "Who?" }]);
        for (body, param, status) in [
            (json!({ "correction": "x" }), "completion_id", 400),
            (json!({ "completion_id": "chatcmpl-2", "correction": "x" }), "completion_id", 404),
            (
                json!({ "completion_id": "chatcmpl-1", "messages": asked, "correction": "x" }),
                "completion_id",
                400,
            ),
            (
                json!({ "completion_id": "chatcmpl-1", "answer": "y", "correction": "x" }),
                "answer",
                400,
            ),
            (json!({ "completion_id": "chatcmpl-1" }), "correction", 400),
            (
                json!({ "completion_id": "chatcmpl-1", "correction": "x", "approved": true }),
                "correction",
                400,
            ),
            (json!({ "completion_id": "chatcmpl-1", "correction": "Nobody." }), "correction", 400),
            (json!({ "messages": asked, "approved": true }), "answer", 400),
            (json!({ "messages": asked, "corection": "x" }), "corection", 400),
        ] {
            let refusal = heard(body.clone()).expect_err(&body.to_string());
            let found = (refusal.body()["error"]["param"].clone(), refusal.status);
            assert_eq!(found, (json!(param), status), "{body}");
        }
    }
}
