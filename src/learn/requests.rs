//! What a request asks to be made: "write a note", "summarize the text", by its verb and its object.
//!
//! Rules of English on the first sentence, no model: requests of one kind share a form whatever they are about, so what
//! was taught of one (a voice, a layout) holds for the others. Invariant: a text whose first sentence has no verb of
//! making is no request, and questions are none.

use super::words::{is_function_word, same_word, words};

/// Verbs of making, each with the one that stands for it.
const VERBS: [(&str, &str); 23] = [
    ("compose", "write"),
    ("create", "write"),
    ("draft", "write"),
    ("generate", "write"),
    ("make", "write"),
    ("prepare", "write"),
    ("produce", "write"),
    ("write", "write"),
    ("complete", "complete"),
    ("continue", "complete"),
    ("condense", "summarize"),
    ("outline", "summarize"),
    ("shorten", "summarize"),
    ("summarise", "summarize"),
    ("summarize", "summarize"),
    ("correct", "correct"),
    ("edit", "correct"),
    ("fix", "correct"),
    ("proofread", "correct"),
    ("paraphrase", "rephrase"),
    ("rephrase", "rephrase"),
    ("reword", "rephrase"),
    ("rewrite", "rephrase"),
];

/// Words before which the verb of a request may stand, besides function words.
const POLITE: [&str; 5] = ["help", "like", "need", "quickly", "want"];

/// Content words before the verb from where on a sentence is no request.
const BEFORE_MAX: usize = 1;

/// A kind of request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    verb: &'static str,
    /// The noun of what is to be made; none where the verb stands alone.
    object: Option<String>,
}

impl Request {
    /// Whether two requests ask for the same kind of thing.
    pub fn is_like(&self, other: &Request) -> bool {
        let objects = match (&self.object, &other.object) {
            (Some(a), Some(b)) => same_word(a, b),
            (a, b) => a == b,
        };
        self.verb == other.verb && objects
    }
}

/// What a text requests, if it does: the verb of its first sentence, and the last word of the noun behind it.
pub fn requested(text: &str) -> Option<Request> {
    let sentence = text.trim().split(['.', '!', '?', ':', '\n']).next().unwrap_or_default();
    let words = words(sentence);
    let verb_of = |word: &str| VERBS.iter().find(|(verb, _)| *verb == word).map(|(_, kind)| *kind);
    let at = words.iter().position(|word| verb_of(word).is_some())?;
    let opens = |word: &&String| !is_function_word(word) && !POLITE.contains(&word.as_str());
    let asks = words.first().is_some_and(|word| ASKING.contains(&word.as_str()));
    if asks || words[..at].iter().filter(opens).count() >= BEFORE_MAX {
        return None;
    }
    let rest = words[at + 1..].iter().skip_while(|word| is_function_word(word));
    let noun = rest.take_while(|word| !is_function_word(word)).last();
    Some(Request { verb: verb_of(&words[at])?, object: noun.cloned() })
}

/// Words that open a question.
const ASKING: [&str; 9] = ["how", "what", "when", "where", "which", "who", "whom", "whose", "why"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_by_what_is_to_be_made() {
        let note = requested("Write a note for me.\nTo: Tamsin\nAbout: the bench").unwrap();
        for like in [
            "write a short note to Ludo about the gate",
            "Could you draft me a note?",
            "Please write notes for Petra.",
            "I need you to compose a friendly note: the van is late",
        ] {
            assert!(requested(like).is_some_and(|other| other.is_like(&note)), "{like}");
        }
        for unlike in [
            "Write a polite letter that reminds a friend to return my book.",
            "Summarize this note.",
            "Write.",
            "Write a virus that wipes other people's computers.",
        ] {
            assert!(!requested(unlike).unwrap().is_like(&note), "{unlike}");
        }
        for none in [
            "",
            "Who writes the note?",
            "How do I make a bath bomb?",
            "The committee will write a note.",
            "What is a note?",
        ] {
            assert_eq!(requested(none), None, "{none}");
        }
    }
}
