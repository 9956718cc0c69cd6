//! Neighbours of a lesson: questions of its form about other things, made by the base model itself.
//!
//! What a lesson damages are its siblings (FACTS.md 4.6), so these are rehearsed. It knows models only as a
//! `Student`. Invariant: no neighbour holds a rare word of the lesson, and none is answered as the lesson is.

use super::{OwnAnswer, Recipe};
use crate::format::message::Message;
use crate::learn::example::Example;
use crate::learn::student::{AnswerOptions, Student, StudentResult, greedy};
use crate::learn::words::{holds, is_function_word, normalized, says, words};
use crate::model::random::Random;
use std::collections::HashSet;

/// Tokens of one sampled list.
const LIST_TOKENS: usize = 96;

/// Temperatures of the samples, in turn.
const TEMPERATURES: [f32; 3] = [0.8, 0.9, 1.0];

/// Samples questions in the lesson's form; they are unique, and not yet filtered by their words.
pub async fn sample(
    student: &mut dyn Student,
    example: &Example,
    question: &str,
    recipe: &Recipe,
    random: &mut Random,
) -> StudentResult<Vec<String>> {
    let prompt = format!("Questions of one kind, each about something else:\n- {question}\n-");
    let mut seen: HashSet<String> = example.rephrasings.iter().map(|r| normalized(r)).collect();
    seen.insert(normalized(question));
    let mut siblings = Vec::new();
    for round in (0..recipe.samples_max).step_by(TEMPERATURES.len()) {
        // The filters that follow drop about half.
        if siblings.len() >= recipe.neighbours * 2 {
            break;
        }
        let left = recipe.samples_max - round;
        let lists = TEMPERATURES.into_iter().take(left).map(|temperature| {
            let seed = random.next_u64();
            (prompt.clone(), AnswerOptions { tokens_max: LIST_TOKENS, temperature, seed })
        });
        for text in student.continuations(&lists.collect::<Vec<_>>()).await? {
            let lines = listed(&text, question.ends_with('?'));
            siblings.extend(lines.into_iter().filter(|line| seen.insert(normalized(line))));
        }
    }
    Ok(siblings)
}

/// The siblings that are near the lesson and not on it, with the base's own greedy answers.
pub async fn answered(
    student: &mut dyn Student,
    example: &Example,
    question: &str,
    siblings: &[String],
    rare: &[String],
    recipe: &Recipe,
) -> StudentResult<Vec<OwnAnswer>> {
    let mut kept = Vec::new();
    let Some((_, taught)) = example.content.question_answer() else { return Ok(kept) };
    let options = greedy(recipe.neighbour_tokens);
    let own = student.answer(&example.content.asking(question), &options).await?;
    let near: Vec<&String> =
        siblings.iter().filter(|sibling| is_near(sibling, question, rare)).collect();
    for group in near.chunks(recipe.neighbours.max(1)) {
        let asked: Vec<(Vec<Message>, AnswerOptions)> = group
            .iter()
            .map(|sibling| (example.content.asking(sibling), options.clone()))
            .collect();
        let answers = student.answers(&asked).await?;
        for ((sibling, (mut messages, _)), answer) in group.iter().zip(asked).zip(answers) {
            let as_lesson = normalized(&answer) == normalized(&own)
                || says(&answer, &[sibling], taught, example.rejected.as_deref());
            if kept.len() < recipe.neighbours && !answer.trim().is_empty() && !as_lesson {
                messages.push(Message::assistant(answer));
                kept.push(OwnAnswer { messages });
            }
        }
        if kept.len() == recipe.neighbours {
            break;
        }
    }
    Ok(kept)
}

/// Whether a sampled question shares the lesson's form, is about something else, and holds none of its rare words.
pub fn is_near(sibling: &str, question: &str, rare: &[String]) -> bool {
    let (theirs, ours) = (words(sibling), words(question));
    if theirs.len() < 2 || rare.iter().any(|word| holds(&theirs, word)) {
        return false;
    }
    let form: Vec<&String> = ours.iter().filter(|word| !rare.contains(word)).collect();
    let shared = form.iter().filter(|word| theirs.contains(word)).count();
    let same_form = theirs.first() == ours.first() || shared * 2 >= form.len().max(1);
    let something_else = theirs.iter().any(|word| !is_function_word(word) && !holds(&ours, word));
    same_form && something_else
}

/// The questions of a sampled list: without bullets and numbers, whole, and not too long.
fn listed(text: &str, question: bool) -> Vec<String> {
    const CHARS_MAX: usize = 200;
    let mut lines = Vec::new();
    for line in text.lines() {
        let bullet = |c: char| c.is_ascii_digit() || c.is_whitespace() || "-*•.)(\"'".contains(c);
        let line = line.trim_start_matches(bullet).trim_end_matches(['"', '\'', ' ']);
        let whole = match (question, line.find('?')) {
            (true, Some(end)) => &line[..=end],
            (false, None) if line.ends_with(['.', '!', ':']) => line,
            _ => continue,
        };
        if whole.chars().count() <= CHARS_MAX {
            lines.push(whole.to_string());
        }
    }
    lines
}
