//! Prompts about everyday things, whose answers by the base model are rehearsed in every cycle.
//!
//! They protect how the model talks in general; what lies near a lesson is the neighbours' business. Invariant: none
//! of them is an item of a suite, since a rehearsed item would blind the gate.

use super::OwnAnswer;
use crate::format::message::Message;
use crate::learn::student::{Student, StudentResult, greedy};

/// Tokens of the base's own answer.
const TOKENS: usize = 48;

/// The prompts.
pub const PROMPTS: [&str; 16] = [
    "Can you suggest a name for a small bakery?",
    "Write two sentences about a rainy morning in a harbour town.",
    "How do I politely decline an invitation to a party?",
    "Give me three ideas for a quick lunch without meat.",
    "Explain to a child why we sleep.",
    "What should I pack for a weekend hike in the hills?",
    "Write a short thank-you note to a neighbour who watered my plants.",
    "How can I make my desk at home more comfortable?",
    "Turn this into a question: The train leaves at noon.",
    "What is a good way to learn new vocabulary?",
    "Describe your favourite kind of weather in one paragraph.",
    "Write a Python function that reverses a list.",
    "Summarize in one sentence: The meeting was moved to Friday because the room was taken.",
    "How do I start a conversation with someone I do not know?",
    "List some hobbies that cost little money.",
    "What are the steps to repot a houseplant?",
];

/// The base model's answers to the prompts; the base must be in place.
pub async fn own_answers(student: &mut dyn Student) -> StudentResult<Vec<OwnAnswer>> {
    let asked = PROMPTS.map(|prompt| (vec![Message::user(prompt)], greedy(TOKENS)));
    let answers = student.answers(&asked).await?;
    let own = asked.into_iter().zip(answers).filter(|(_, answer)| !answer.trim().is_empty());
    Ok(own
        .map(|((mut messages, _), answer)| {
            messages.push(Message::assistant(answer));
            OwnAnswer { messages }
        })
        .collect())
}
