//! The lesson's question in other words: sampled from the base model, and its bare content words.
//!
//! They are what makes a lesson hold when it is asked otherwise (FACTS.md 4.7: 36 of 36 rephrasings against 24). It
//! knows models only as a `Student`. Invariant: every rewording holds all rare words of the question, and none is
//! one of the user's held-out rephrasings.

use super::Recipe;
use crate::learn::example::Example;
use crate::learn::student::{AnswerOptions, Student, StudentResult};
use crate::learn::words::{content_words, holds, is_function_word, normalized, words};
use crate::model::random::Random;
use std::collections::HashSet;

/// Tokens of one sampled rewording.
const TOKENS: usize = 40;

/// Questions with the same in other words, as examples for the base model.
const SHOTS: [(&str, &str); 4] = [
    ("How tall is Mount Kenya?", "What is the height of Mount Kenya?"),
    ("Who wrote the novel Dracula?", "Dracula was written by which author?"),
    ("Where can I see penguins?", "In which places do penguins live?"),
    ("When was the printing press invented?", "What year did the printing press first appear?"),
];

/// Samples rewordings, up to `recipe.rewordings`.
pub async fn sample(
    student: &mut dyn Student,
    example: &Example,
    question: &str,
    rare: &[String],
    recipe: &Recipe,
    random: &mut Random,
) -> StudentResult<Vec<String>> {
    let mut seen: HashSet<String> = example.rephrasings.iter().map(|r| normalized(r)).collect();
    seen.insert(normalized(question));
    let mut kept = Vec::new();
    let mut left = recipe.samples_max * 2;
    while left > 0 && kept.len() < recipe.rewordings {
        // A sample in two is kept, about.
        let n = left.min(2 * (recipe.rewordings - kept.len()));
        left -= n;
        let texts = (0..n).map(|i| {
            let temperature = if i.is_multiple_of(2) { 0.7 } else { 0.9 };
            let text = prompt(question, random);
            let seed = random.next_u64();
            (text, AnswerOptions { tokens_max: TOKENS, temperature, seed })
        });
        for text in student.continuations(&texts.collect::<Vec<_>>()).await? {
            let line = text.trim_start().lines().next().unwrap_or("").trim().to_string();
            if keeps_subject(&line, rare) && seen.insert(normalized(&line)) {
                kept.push(line);
            }
        }
    }
    kept.truncate(recipe.rewordings);
    Ok(kept)
}

/// Whether a rewording still asks about the same: it holds every rare word, and is a line that one would type.
pub fn keeps_subject(line: &str, rare: &[String]) -> bool {
    const CHARS_MAX: usize = 240;
    let held = words(line);
    held.len() >= 2
        && line.chars().count() <= CHARS_MAX
        && rare.iter().all(|word| holds(&held, word))
}

/// The question's content words: in order, and in two other orders; those that the user holds out are left out.
pub fn bags(question: &str, held_out: &[String], random: &mut Random) -> Vec<String> {
    let cased: Vec<&str> = question
        .split_whitespace()
        .map(|piece| piece.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|piece| words(piece).iter().any(|word| !is_function_word(word)))
        .collect();
    if content_words(question).len() < 2 {
        return Vec::new();
    }
    let mut seen: HashSet<String> = held_out.iter().map(|text| normalized(text)).collect();
    seen.insert(normalized(question));
    let mut order = cased;
    let mut bags = vec![order.join(" ")];
    for _ in 0..2 {
        random.shuffle(&mut order);
        bags.push(order.join(" "));
    }
    bags.retain(|bag| seen.insert(normalized(bag)));
    bags
}

/// The few-shot text; the order of the examples changes, so that the samples differ.
pub fn prompt(question: &str, random: &mut Random) -> String {
    let mut shots = SHOTS;
    random.shuffle(&mut shots);
    let mut text = String::new();
    for (asked, other) in shots {
        text.push_str(&format!("Question: {asked}\nThe same question in other words: {other}\n"));
    }
    text.push_str(&format!("Question: {question}\nThe same question in other words:"));
    text
}
