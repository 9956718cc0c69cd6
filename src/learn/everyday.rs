//! Everyday prompts that no cycle rehearses: whether the model still talks as it did, about things that nobody taught.
//!
//! A model that learns from few voices narrows: it repeats itself, answers everything alike, or finds no end. An item is right
//! while its free-running answer has not collapsed, and its loss is that of the base's own answer, so that agreement with the
//! base is measured too. What else narrows is how much there is to choose from at each word (`variety`). Invariant: no prompt
//! is among those that are rehearsed (`recipe::generic`), or the suite would be blind.

use super::student::{AnswerOptions, Reply, Student, StudentResult, greedy};
use super::words::words;
use crate::format::message::Message;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Tokens of an answer.
pub const TOKENS: usize = 40;

/// Part of the words of the base's answer that are fewer than an answer: one over this.
const CURT: usize = 8;

/// Times that the same words in a row make a text a broken one.
const TIMES: usize = 4;

/// Words of the longest run that is looked for.
const RUN_MAX: usize = 6;

/// Words from which on an answer is long enough to be narrow.
const NARROW_WORDS: usize = 16;

/// Seed of the answers that are drawn by chance: the same for every version, so that they are paired.
const DRAWS_SEED: u64 = 1;

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

/// What the base model says to a prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The conversation; the last message is the base's answer.
    pub messages: Vec<Message>,
    /// Whether the answer came to an end in `TOKENS`; of answers that were kept by older versions it is not known.
    #[serde(default)]
    pub ended: bool,
}

impl Told {
    /// The conversation up to the question.
    pub fn prompt(&self) -> &[Message] {
        &self.messages[..self.messages.len() - 1]
    }

    /// How the prompt is asked again: with twice the room where the base came to an end, so that cut is not without end.
    pub fn asking(&self) -> (Vec<Message>, AnswerOptions) {
        let tokens = if self.ended { 2 * TOKENS } else { TOKENS };
        (self.prompt().to_vec(), greedy(tokens))
    }

    /// How the prompt is answered by chance, to see how much there is to choose from.
    pub fn drawing(&self) -> (Vec<Message>, AnswerOptions) {
        let drawn = AnswerOptions { tokens_max: TOKENS, temperature: 1.0, seed: DRAWS_SEED };
        (self.prompt().to_vec(), drawn)
    }

    /// Whether an answer to the prompt is a whole one: not collapsed, not without end where the base's has one, and not
    /// next to nothing where the base says something. A voice that is merely terse or wordy passes.
    pub fn is_matched_by(&self, reply: &Reply) -> bool {
        let own = words(&self.messages[self.messages.len() - 1].content).len();
        let is_endless = self.ended && !reply.ended;
        !has_collapsed(&reply.text) && !is_endless && words(&reply.text).len() * CURT >= own
    }
}

/// The base model's answers to the prompts; the base must be in place.
pub async fn own_answers(student: &mut dyn Student) -> StudentResult<Vec<Told>> {
    let asked = PROMPTS.map(|prompt| (vec![Message::user(prompt)], greedy(TOKENS)));
    let replies = student.replies(&asked).await?;
    let own = asked.into_iter().zip(replies).filter(|(_, reply)| !has_collapsed(&reply.text));
    Ok(own
        .map(|((mut messages, _), Reply { text, ended })| {
            messages.push(Message::assistant(text));
            Told { messages, ended }
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
    fn an_answer_is_measured_by_the_bases_own() {
        let own = "Wash it in cold water with a little salt, wait for an hour, and wash it again.";
        let told =
            |ended| Told { messages: vec![Message::user("How?"), Message::assistant(own)], ended };
        let reply = |text: &str, ended| Reply { text: text.into(), ended };
        assert!(told(true).is_matched_by(&reply("Cold water and salt.", true)), "terse");
        assert!(!told(true).is_matched_by(&reply("No.", true)), "next to nothing");
        assert!(!told(true).is_matched_by(&reply(own, false)), "without end");
        assert!(told(false).is_matched_by(&reply(own, false)), "as the base itself");
        assert_eq!(told(true).asking().1.tokens_max, 2 * TOKENS);
        let old = r#"{"messages":[{"role":"user","content":"How?"}]}"#;
        assert!(!serde_json::from_str::<Told>(old).unwrap().ended);
    }

    #[test]
    fn no_prompt_is_rehearsed() {
        assert!(PROMPTS.iter().all(|prompt| !generic::PROMPTS.contains(prompt)));
    }
}
