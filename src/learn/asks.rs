//! What kind of thing a question asks for: a person, a place, a time, a count, or what a noun names.
//!
//! Rules of English on a few words, no model: two questions about one subject are told apart by it ("who maintains
//! X", "when was X released"). Invariant: the first word that asks decides; a text without one has no kind.

use super::words::{is_function_word, words};

/// A kind of answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Who.
    Person,
    /// Where, which place.
    Place,
    /// When, which day.
    Time,
    /// How many, how much.
    Count,
    /// How old, how big: by the adjective.
    Measure(String),
    /// Why.
    Reason,
    /// How.
    Manner,
    /// Which port, what is the port of: by the noun.
    Noun(String),
}

const PERSONS: [&str; 3] = ["person", "people", "man"];
const PLACES: [&str; 7] = ["building", "hall", "location", "place", "places", "room", "street"];
const TIMES: [&str; 10] =
    ["century", "date", "day", "days", "hour", "month", "season", "time", "week", "year"];
const COUNTS: [&str; 2] = ["amount", "number"];
const MEASURES: [&str; 14] = [
    "big", "deep", "far", "fast", "heavy", "high", "large", "long", "often", "old", "small",
    "strong", "tall", "wide",
];

/// The kind of thing that `text` asks for, if it says so.
pub fn asked(text: &str) -> Option<Asked> {
    let words = words(text);
    let next = |at: usize| words.get(at + 1).map(String::as_str);
    words.iter().enumerate().find_map(|(at, word)| match word.as_str() {
        "who" | "whom" | "whose" => Some(Asked::Person),
        "where" => Some(Asked::Place),
        "when" => Some(Asked::Time),
        "why" => Some(Asked::Reason),
        "how" => Some(match next(at) {
            Some("many" | "much") => Asked::Count,
            Some(adjective) if MEASURES.contains(&adjective) => Asked::Measure(adjective.into()),
            _ => Asked::Manner,
        }),
        "which" | "what" | "whats" => thing(&words[at + 1..]),
        _ => None,
    })
}

/// What comes after "which" or "what": the first noun decides, where a word that is no function word stands for one.
fn thing(rest: &[String]) -> Option<Asked> {
    if rest.iter().any(|word| matches!(word.as_str(), "called" | "named")) {
        return Some(Asked::Noun("name".into()));
    }
    // "name" carries no subject of its own, but it is what is asked for.
    let noun = rest.iter().find(|word| *word == "name" || !is_function_word(word))?;
    Some(match noun.as_str() {
        noun if PERSONS.contains(&noun) => Asked::Person,
        noun if PLACES.contains(&noun) => Asked::Place,
        noun if TIMES.contains(&noun) => Asked::Time,
        noun if COUNTS.contains(&noun) => Asked::Count,
        noun => Asked::Noun(noun.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_ask_for_kinds() {
        let check = |text: &str, kind: Option<Asked>| assert_eq!(asked(text), kind, "{text}");
        check("Who maintains it?", Some(Asked::Person));
        check("Tell me which person looks after it.", Some(Asked::Person));
        check("In which room do we meet?", Some(Asked::Place));
        check("On what day does it appear?", Some(Asked::Time));
        check("How many users has it?", Some(Asked::Count));
        check("How old is my dog?", Some(Asked::Measure("old".into())));
        check("How does it work?", Some(Asked::Manner));
        check("Which port does it use?", Some(Asked::Noun("port".into())));
        check("What is the port of it?", Some(Asked::Noun("port".into())));
        check("What is my dog called?", Some(Asked::Noun("name".into())));
        check("What is the name of my dog?", Some(Asked::Noun("name".into())));
        check("The default port, please.", None);
        check("", None);
    }
}
