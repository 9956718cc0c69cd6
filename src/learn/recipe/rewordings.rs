//! The lesson's question in other words: sampled from the base model, in other forms of English, as bare words, and
//! with words swapped for near ones of the embedding table.
//!
//! They are what makes a lesson hold when it is asked otherwise (FACTS.md 4.7: 36 of 36 rephrasings against 24). It
//! knows models only as a `Student`. Invariant: every rewording holds all rare words of the question, and none is
//! one of the user's held-out rephrasings, or one by which the run itself looks whether the lesson was understood.

use super::{Drill, Lesson, Recipe};
use crate::learn::example::Example;
use crate::learn::student::{AnswerOptions, Student, StudentResult};
use crate::learn::topic::Topic;
use crate::learn::words::{bare_name, content_words, holds, is_function_word, normalized, words};
use crate::model::random::Random;
use std::collections::{BTreeMap, HashSet};

/// Near words by the word that they can stand for, in lower case.
pub type Swaps = BTreeMap<String, Vec<String>>;

/// Cosine of two embeddings from where on words are near: "keeps" is 0.67 from "maintains", "crew" 0.52 from "team".
const NEAR_MIN: f32 = 0.4;

/// Near words a word.
const NEAR_WORDS: usize = 8;

/// Share of the drawn wordings in which words are swapped, and of their words that are.
const VARIED_SHARE: f64 = 0.5;
const SWAP_SHARE: f64 = 0.5;

/// Share of the drawn wordings that name the subject by its name alone.
const BARE_SHARE: f64 = 0.25;

/// Share of the words that carry no subject that a bag of words keeps.
const BAG_SHARE: f64 = 0.7;

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
    topic: &Topic,
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
            if asks_the_same(&line, topic) && seen.insert(normalized(&line)) {
                kept.push(line);
            }
        }
    }
    kept.truncate(recipe.rewordings);
    Ok(kept)
}

/// Whether a rewording still asks the same: it holds every rare word, is near the lesson, and is a line that one would
/// type.
pub fn asks_the_same(line: &str, topic: &Topic) -> bool {
    const CHARS_MAX: usize = 240;
    let held = words(line);
    held.len() >= 2
        && line.chars().count() <= CHARS_MAX
        && topic.names_all(&held)
        && topic.is_near(line)
}

/// Near words of the question's words that are not rare, with which a drawn wording may be varied.
pub async fn swaps(
    student: &mut dyn Student,
    question: &str,
    drill: &Drill,
) -> StudentResult<Swaps> {
    let subject = words(&drill.subject);
    let open = |word: &String| !holds(&subject, word) && !holds(&drill.rare, word);
    let swapped: Vec<String> = content_words(question).into_iter().filter(open).collect();
    let near = student.near_words(&swapped).await?;
    let good = |(other, cosine): (String, f32)| {
        let other = (cosine >= NEAR_MIN && !is_function_word(&other)).then_some(other)?;
        (!holds(&drill.rare, &other)).then_some(other)
    };
    let of = |near: Vec<(String, f32)>| near.into_iter().filter_map(good).take(NEAR_WORDS);
    let all = swapped.into_iter().zip(near).map(|(word, near)| (word, of(near).collect()));
    Ok(all.filter(|(_, near): &(String, Vec<String>)| !near.is_empty()).collect())
}

/// The lesson's question in other words, drawn anew each time: a sampled rewording, another form of English, or its
/// bare words; some words are swapped for near ones. None is the question itself or one that is held out.
pub fn draw(lesson: &Lesson, question: &str, random: &mut Random) -> Option<String> {
    let Lesson { example, drill } = lesson;
    let pick =
        |pool: &[String], random: &mut Random| pool.get(random.below(pool.len().max(1))).cloned();
    let drawn = match random.below(5) {
        0 | 1 => pick(&drill.rewordings, random),
        2 | 3 => pick(&drill.forms, random),
        _ => None,
    };
    let worded = drawn.unwrap_or_else(|| bag(question, &drill.rare, random));
    let worded = match bare_name(&drill.subject, &drill.rare) {
        Some(name) if random.unit() < BARE_SHARE => worded.replace(&drill.subject, &name),
        _ => worded,
    };
    let varied =
        if random.unit() < VARIED_SHARE { vary(&worded, &drill.swaps, random) } else { worded };
    let key = normalized(&varied);
    let held_out = |texts: &[String]| texts.iter().any(|text| normalized(text) == key);
    let fresh = !held_out(&example.rephrasings) && !held_out(&drill.reserved);
    (fresh && key != normalized(question)).then_some(varied)
}

/// The question's content words, all rare ones and most of the others, in their order or in another one.
fn bag(question: &str, rare: &[String], random: &mut Random) -> String {
    let mut kept: Vec<&str> = question
        .split_whitespace()
        .map(|piece| piece.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|piece| {
            let held = words(piece);
            let subject = held.iter().any(|word| holds(rare, word));
            let content = held.iter().any(|word| !is_function_word(word));
            subject || (content && random.unit() < BAG_SHARE)
        })
        .collect();
    if random.unit() < 0.5 {
        random.shuffle(&mut kept);
    }
    kept.join(" ")
}

/// The text with some of its words swapped for near ones.
fn vary(text: &str, swaps: &Swaps, random: &mut Random) -> String {
    let pieces = text.split_whitespace().map(|piece| {
        let word = piece.trim_matches(|c: char| !c.is_alphanumeric());
        let near = swaps.get(&word.to_lowercase()).filter(|_| random.unit() < SWAP_SHARE);
        match near {
            Some(near) => piece.replacen(word, &near[random.below(near.len())], 1),
            None => piece.to_string(),
        }
    });
    pieces.collect::<Vec<_>>().join(" ")
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
