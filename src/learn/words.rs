//! Words of questions and answers: which carry the subject, and whether an answer says what was taught.
//!
//! It knows no model and no tokens; words are runs of letters and digits, compared in lower case. Invariant: `says`
//! asks for words that the question does not already hold, since a model repeats those whether it learned or not.

use std::collections::HashSet;

/// Words that carry no subject of their own, sorted.
const FUNCTION_WORDS: [&str; 112] = [
    "a", "about", "after", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be",
    "because", "been", "before", "but", "by", "called", "can", "could", "did", "do", "does",
    "each", "every", "for", "from", "give", "had", "has", "have", "he", "her", "his", "how", "i",
    "if", "in", "into", "is", "it", "its", "just", "know", "many", "may", "me", "might", "more",
    "most", "much", "must", "my", "name", "named", "no", "not", "of", "on", "one", "or", "our",
    "out", "please", "s", "say", "she", "should", "so", "some", "such", "tell", "than", "that",
    "the", "their", "them", "then", "there", "these", "they", "this", "those", "to", "under", "up",
    "us", "very", "was", "we", "were", "what", "when", "where", "whether", "which", "while", "who",
    "whom", "whose", "why", "will", "with", "within", "without", "would", "yes", "you", "your",
    "yours", "yourself",
];

/// The words of a text, in order, in lower case; apostrophes vanish.
pub fn words(text: &str) -> Vec<String> {
    raw_words(text).map(|word| lower(&word)).collect()
}

/// The text as one line of its words: what two texts share that differ only in case, spaces and punctuation.
pub fn normalized(text: &str) -> String {
    words(text).join(" ")
}

/// Whether a word (in lower case) carries no subject of its own.
pub fn is_function_word(word: &str) -> bool {
    FUNCTION_WORDS.binary_search(&word).is_ok()
}

/// The words that carry a subject, in order, each once.
pub fn content_words(text: &str) -> Vec<String> {
    let mut seen = HashSet::new();
    let all = words(text).into_iter();
    all.filter(|word| !is_function_word(word) && seen.insert(word.clone())).collect()
}

/// Whether two words (in lower case) are forms of one: equal, or the same first four letters. Numbers must be equal.
pub fn same_word(a: &str, b: &str) -> bool {
    let digits = |word: &str| word.chars().any(|c| c.is_ascii_digit());
    let stem = |word: &str| word.chars().take(4).collect::<String>();
    let long = a.chars().count() >= 4 && b.chars().count() >= 4;
    a == b || (long && !digits(a) && !digits(b) && stem(a) == stem(b))
}

/// Whether a text holds a form of a word.
pub fn holds(text_words: &[String], word: &str) -> bool {
    text_words.iter().any(|other| same_word(other, word))
}

/// The words that make a question this question and not one of its siblings: its names and numbers, and what at
/// most a quarter of the sibling questions hold. Never empty for a question that has words.
pub fn rare_words(question: &str, siblings: &[String]) -> Vec<String> {
    let content = content_words(question);
    let names: HashSet<String> = names_and_numbers(question).into_iter().collect();
    let siblings: Vec<Vec<String>> = siblings.iter().map(|text| words(text)).collect();
    let share = |word: &String| {
        let holding = siblings.iter().filter(|sibling| holds(sibling, word)).count();
        holding as f64 / siblings.len().max(1) as f64
    };
    let few = siblings.len() >= 4;
    let rare = |word: &&String| names.contains(*word) || (few && share(word) <= 0.25);
    let chosen: Vec<String> = content.iter().filter(rare).cloned().collect();
    if !chosen.is_empty() {
        return chosen;
    }
    // Nothing stands out: the rarest word, the longest of equals.
    let rarest = content.iter().min_by(|a, b| {
        share(a).total_cmp(&share(b)).then(b.chars().count().cmp(&a.chars().count()))
    });
    rarest.cloned().into_iter().chain(words(question).into_iter().take(1)).take(1).collect()
}

/// The words of a taught answer that tell whether it was learned: those that neither the question nor the answer
/// that it replaces holds; failing that, those that the question does not hold.
pub fn key_words(question: &str, taught: &str, rejected: Option<&str>) -> Vec<String> {
    let asked: HashSet<String> = words(question).into_iter().collect();
    let wrong: HashSet<String> = words(rejected.unwrap_or("")).into_iter().collect();
    let new: Vec<String> =
        content_words(taught).into_iter().filter(|word| !asked.contains(word)).collect();
    let telling: Vec<String> = new.iter().filter(|word| !wrong.contains(*word)).cloned().collect();
    if telling.is_empty() { new } else { telling }
}

/// Whether a free-running answer says what was taught: the same words, or every key word (four in five where there
/// are more than four).
pub fn says(answer: &str, question: &str, taught: &str, rejected: Option<&str>) -> bool {
    let given = words(answer);
    let target = words(taught);
    if given == target {
        return true;
    }
    let keys = key_words(question, taught, rejected);
    if keys.is_empty() {
        // Nothing but words of the question and function words ("Yes."): the answer must open with it.
        return !target.is_empty() && given.starts_with(&target);
    }
    let given: HashSet<&String> = given.iter().collect();
    let held = keys.iter().filter(|word| given.contains(word)).count();
    let needed = if keys.len() <= 4 { keys.len() } else { (keys.len() * 4).div_ceil(5) };
    held >= needed
}

/// Words written with a capital inside a sentence, or with a digit; in lower case.
fn names_and_numbers(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut opening = true;
    for piece in text.split_whitespace() {
        for word in raw_words(piece) {
            let capital = word.chars().next().is_some_and(char::is_uppercase);
            let digit = word.chars().any(|c| c.is_ascii_digit());
            let lowered = lower(&word);
            if digit || (capital && !opening && !is_function_word(&lowered)) {
                found.push(lowered);
            }
            opening = false;
        }
        opening |= piece.ends_with(['.', '!', '?', ':']);
    }
    found
}

fn raw_words(text: &str) -> impl Iterator<Item = String> {
    let plain: String = text.chars().filter(|c| !matches!(c, '\'' | '\u{2019}')).collect();
    let split: Vec<String> = plain
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_string)
        .collect();
    split.into_iter()
}

fn lower(word: &str) -> String {
    word.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_words_are_sorted_for_the_binary_search() {
        assert!(FUNCTION_WORDS.is_sorted());
    }
}
