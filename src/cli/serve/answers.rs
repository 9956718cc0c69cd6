//! The last answers, so that feedback can name one by its id instead of saying it all again.
//!
//! They are in memory only and end with the server. Invariant: what is kept has a bound, in answers and in bytes; the oldest
//! goes first.

use crate::format::message::Message;
use std::collections::VecDeque;

/// Most answers.
const ANSWERS_MAX: usize = 256;
/// Most bytes of their conversations.
const BYTES_MAX: usize = 16 << 20;

/// An answer and what it answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// The id that the client was told.
    pub id: String,
    /// The conversation before it.
    pub messages: Vec<Message>,
    /// What was said.
    pub text: String,
}

impl Answered {
    fn bytes(&self) -> usize {
        let asked: usize = self.messages.iter().map(|message| message.content.len()).sum();
        asked + self.text.len()
    }
}

/// The answers, the newest last.
#[derive(Default)]
pub struct Answers {
    kept: VecDeque<Answered>,
    bytes: usize,
}

impl Answers {
    /// Keeps one more.
    pub fn keep(&mut self, answered: Answered) {
        self.bytes += answered.bytes();
        self.kept.push_back(answered);
        while self.kept.len() > ANSWERS_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= oldest.bytes();
        }
    }

    /// The answer of an id.
    pub fn find(&self, id: &str) -> Option<Answered> {
        self.kept.iter().find(|answered| answered.id == id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(id: usize, bytes: usize) -> Answered {
        let messages = vec![Message::user("x".repeat(bytes))];
        Answered { id: id.to_string(), messages, text: String::new() }
    }

    #[test]
    fn the_oldest_go_by_number_and_by_size() {
        let mut answers = Answers::default();
        (0..=ANSWERS_MAX).for_each(|id| answers.keep(answered(id, 1)));
        assert_eq!((answers.find("0"), answers.bytes), (None, ANSWERS_MAX));
        assert_eq!(answers.find("1"), Some(answered(1, 1)));
        answers.keep(answered(1000, BYTES_MAX));
        assert_eq!((answers.kept.len(), answers.bytes), (1, BYTES_MAX));
        answers.keep(answered(1001, BYTES_MAX + 1));
        assert_eq!((answers.kept.len(), answers.bytes), (0, 0));
    }
}
