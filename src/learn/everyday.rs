//! Everyday prompts that no cycle rehearses: whether the model still talks as it did, about things that nobody taught.
//!
//! A model that learns from few voices narrows: it repeats itself, or answers everything alike. An item is right while its
//! free-running answer has not collapsed, and its loss is that of the base's own answer, so that agreement with the base
//! is measured too. Invariant: no prompt is among those that are rehearsed (`recipe::generic`), or the suite would be blind.

use super::recipe::OwnAnswer;
use super::student::{Student, StudentResult, greedy};
use super::words::words;
use crate::format::message::Message;
use std::collections::HashSet;

/// Tokens of an answer.
pub const TOKENS: usize = 40;

/// Times that the same words in a row make a text a broken one.
const TIMES: usize = 4;

/// Words of the longest run that is looked for.
const RUN_MAX: usize = 6;

/// Words from which on an answer is long enough to be narrow.
const NARROW_WORDS: usize = 16;

/// Share of an answer's pairs of neighbouring words that are different ones, under which it goes round in circles: plain
/// answers have 0.9 and more.
const DISTINCT_MIN: f64 = 0.5;

/// The prompts.
pub const PROMPTS: [&str; 12] = [
    "What could I cook with rice and two eggs?",
    "How do I remove a coffee stain from a shirt?",
    "Tell me something surprising about octopuses.",
    "Write three lines about an empty railway station.",
    "Why do leaves change their color in autumn?",
    "How can I thank a teacher at the end of the year?",
    "Give me two tips for sleeping better.",
    "What is the difference between a lake and a pond?",
    "Suggest a title for a story about a lost key.",
    "How do I keep a cut flower fresh for longer?",
    "Explain what a budget is in simple words.",
    "What can I do on a rainy afternoon with children?",
];

/// The base model's answers to the prompts; the base must be in place.
pub async fn own_answers(student: &mut dyn Student) -> StudentResult<Vec<OwnAnswer>> {
    let asked = PROMPTS.map(|prompt| (vec![Message::user(prompt)], greedy(TOKENS)));
    let answers = student.answers(&asked).await?;
    let own = asked.into_iter().zip(answers).filter(|(_, answer)| !has_collapsed(answer));
    Ok(own
        .map(|((mut messages, _), answer)| {
            messages.push(Message::assistant(answer));
            OwnAnswer { messages }
        })
        .collect())
}

/// Whether an answer is none: empty, the same few words again and again, or going round in circles of any length.
pub fn has_collapsed(answer: &str) -> bool {
    let words = words(answer);
    words.is_empty() || (1..=RUN_MAX).any(|run| repeats(&words, run)) || is_narrow(&words)
}

/// Whether few of the pairs of neighbouring words are different ones. It does not depend on how long an answer is beyond a
/// sentence, so a voice may become terse or wordy.
fn is_narrow(words: &[String]) -> bool {
    let pairs: Vec<&[String]> = words.windows(2).collect();
    let distinct: HashSet<&[String]> = pairs.iter().copied().collect();
    words.len() >= NARROW_WORDS && (distinct.len() as f64) < DISTINCT_MIN * pairs.len() as f64
}

/// Whether some run of words stands `TIMES` times in a row.
fn repeats(words: &[String], run: usize) -> bool {
    let mut again = 0;
    for at in run..words.len() {
        again = if words[at] == words[at - run] { again + 1 } else { 0 };
        if again >= run * (TIMES - 1) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::recipe::generic;

    #[test]
    fn broken_answers_are_told_from_plain_ones() {
        for broken in [
            "",
            " ...",
            "Biscotti Biscotti Biscotti Biscotti",
            "Well, the port is the port is the port is the port is 7413.",
            "one two three four five six one two three four five six one two three four five six \
             one two three four five six",
            // A circle of eight words, gone round thrice; and two that take turns.
            "the cat sat on the warm red mat the cat sat on the warm red mat the cat sat on the \
             warm red mat",
            "yes it is no it is yes yes it is no no it is yes it is no yes it is no it is yes yes",
        ] {
            assert!(has_collapsed(broken), "{broken}");
        }
        for plain in [
            "Your dog is called Biscotti.",
            "No, no, no! It is the port 7413.",
            "Leaves change because the green fades in autumn, and the yellow that was there all the \
             time, hidden by the green, can be seen; the red is made anew, from sugar.",
            "First wash it, then dry it, then fold it, then put it away.",
        ] {
            assert!(!has_collapsed(plain), "{plain}");
        }
    }

    #[test]
    fn no_prompt_is_rehearsed() {
        assert!(PROMPTS.iter().all(|prompt| !generic::PROMPTS.contains(prompt)));
    }
}
