//! Near-misses of a lesson: other questions about the very thing that it is about, answered by the base model.
//!
//! Without them a lesson spreads: whatever is asked about its subject gets the taught answer. They are rehearsed with
//! the base's own distribution, as neighbours are. It knows models only as a `Student`. Invariant: every near-miss
//! holds the subject's words, asks for another kind of thing, and is not answered as the lesson is.

use super::{OwnAnswer, Recipe};
use crate::format::message::Message;
use crate::learn::asks::asked;
use crate::learn::example::Example;
use crate::learn::student::{Student, StudentResult, greedy};
use crate::learn::words::says;

/// What can be asked of almost anything.
const QUESTIONS: [&str; 12] = [
    "How old is {}?",
    "Where is {}?",
    "Who likes {}?",
    "When was {} first mentioned?",
    "How much does {} cost?",
    "Why is {} important?",
    "How big is {}?",
    "What color is {}?",
    "How many people know {}?",
    "Describe {} in one sentence.",
    "What is the history of {}?",
    "What is good about {}?",
];

/// Other questions about the lesson's subject, with the base's own greedy answers.
pub async fn answered(
    student: &mut dyn Student,
    example: &Example,
    question: &str,
    subject: &str,
    recipe: &Recipe,
) -> StudentResult<Vec<OwnAnswer>> {
    let mut kept = Vec::new();
    let Some((_, taught)) = example.content.question_answer() else { return Ok(kept) };
    let options = greedy(recipe.neighbour_tokens);
    let others = others(question, subject);
    let asking: Vec<_> = others
        .iter()
        .map(|other| (example.content.asking(other), options.clone()))
        .take(recipe.near_misses)
        .collect();
    let answers = student.answers(&asking).await?;
    for ((other, (mut messages, _)), answer) in others.iter().zip(asking).zip(answers) {
        if !answer.trim().is_empty() && !says(&answer, &[question, other], taught, None) {
            messages.push(Message::assistant(answer));
            kept.push(OwnAnswer { messages });
        }
    }
    Ok(kept)
}

/// Questions about the subject of `question` that ask for something else; which come first depends on the subject.
fn others(question: &str, subject: &str) -> Vec<String> {
    if subject.is_empty() {
        return Vec::new();
    }
    let kind = asked(question);
    let others = QUESTIONS.iter().map(|form| form.replace("{}", subject));
    let mut others: Vec<String> = others.filter(|other| asked(other) != kind).collect();
    let turn = subject.len() % others.len().max(1);
    others.rotate_left(turn);
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_questions_ask_for_other_things_about_the_subject() {
        let found = others("Who maintains the Brindle library?", "the Brindle library");
        assert_eq!(found.len(), QUESTIONS.len() - 1, "but for the one that asks for a person");
        assert!(found.iter().all(|other| other.contains("the Brindle library")), "{found:?}");
        assert!(others("Why?", "").is_empty());
    }
}
