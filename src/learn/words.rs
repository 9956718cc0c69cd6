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

/// Share of the sibling questions up to which a word is rare.
const RARE_SHARE: f64 = 0.25;

/// The words of a text, in order, in lower case, without apostrophes and possessive endings.
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

/// Whether two names (in lower case) are one: equal but for a plural's ending. Names that begin alike are two.
pub fn same_name(a: &str, b: &str) -> bool {
    a == b || a.strip_suffix('s') == Some(b) || b.strip_suffix('s') == Some(a)
}

/// Whether a text holds a form of a word.
pub fn holds(text_words: &[String], word: &str) -> bool {
    text_words.iter().any(|other| same_word(other, word))
}

/// The words that make a question this question and not one of its siblings: its names and numbers; where it has
/// none, what at most a quarter of the sibling questions hold. Empty where nothing stands out.
pub fn telling_words(question: &str, siblings: &[String]) -> Vec<String> {
    let names: HashSet<String> = names_and_numbers(question).into_iter().collect();
    let content = content_words(question);
    if !names.is_empty() {
        return content.into_iter().filter(|word| names.contains(word)).collect();
    }
    let siblings: Vec<Vec<String>> = siblings.iter().map(|text| words(text)).collect();
    let few = siblings.len() < 4;
    let rare = |word: &String| !few && share(&siblings, word) <= RARE_SHARE;
    content.into_iter().filter(rare).collect()
}

/// The telling words; where nothing stands out the rarest word. Never empty for a question that has words.
pub fn rare_words(question: &str, siblings: &[String]) -> Vec<String> {
    let chosen = telling_words(question, siblings);
    if !chosen.is_empty() {
        return chosen;
    }
    let content = content_words(question);
    let siblings: Vec<Vec<String>> = siblings.iter().map(|text| words(text)).collect();
    let share = |word: &String| share(&siblings, word);
    // The longest of equals.
    let rarest = content.iter().min_by(|a, b| {
        share(a).total_cmp(&share(b)).then(b.chars().count().cmp(&a.chars().count()))
    });
    rarest.cloned().into_iter().chain(words(question).into_iter().take(1)).take(1).collect()
}

/// What a question is about: its last run of rare words with the words around it that name one thing ("the Brindle
/// library", "my dog"). Empty where none of its words is rare.
pub fn subject(question: &str, rare: &[String]) -> String {
    const DETERMINERS: [&str; 10] =
        ["the", "a", "an", "my", "our", "your", "his", "her", "its", "their"];
    let end = |c: char| !c.is_alphanumeric();
    let pieces: Vec<&str> = question.split_whitespace().map(|p| p.trim_end_matches(end)).collect();
    let is_rare = |piece: &&str| words(piece).iter().any(|word| holds(rare, word));
    let determines = |at: usize| DETERMINERS.contains(&pieces[at].to_lowercase().as_str());
    let noun = |at: usize| words(pieces[at]).iter().any(|word| !is_function_word(word));
    let capital = |at: usize| pieces[at].starts_with(char::is_uppercase);
    let Some(mut to) = pieces.iter().rposition(is_rare) else {
        return String::new();
    };
    // A name goes on over "and", "of" and "the" between its capitals.
    let runs_on = |at: usize| {
        is_rare(&pieces[at])
            || (capital(at) && at > 0)
            || (!noun(at) && at > 1 && capital(at - 1) && is_rare(&pieces[at - 1]))
    };
    let mut from = to;
    while from > 0 && runs_on(from - 1) {
        from -= 1;
    }
    if from > 0 && determines(from - 1) {
        from -= 1;
        // A name between "the" and a noun: "the Brindle library".
        if capital(to) && to + 1 < pieces.len() && noun(to + 1) {
            to += 1;
        }
    } else if from > 1 && determines(from - 2) && noun(from - 1) {
        // A noun between "the" and a name: "the moon Miranda".
        from -= 2;
    }
    pieces[from..=to].join(" ")
}

/// The words of a subject that name it: its rare ones, where they are written with capitals ("Brindle" of "the Brindle
/// library").
pub fn bare_name(subject: &str, rare: &[String]) -> Option<String> {
    let pieces: Vec<&str> = subject.split_whitespace().collect();
    let is_name = |piece: &&&str| {
        piece.starts_with(char::is_uppercase) && words(piece).iter().any(|word| holds(rare, word))
    };
    let name = pieces.iter().filter(is_name).copied().collect::<Vec<_>>().join(" ");
    (!name.is_empty() && name.len() < subject.len()).then_some(name)
}

/// The words of a taught answer that tell whether it was learned: those of which neither a wording of the question
/// (as taught, as asked) nor the answer that it replaces holds a form; failing that, those that no wording holds. Where
/// the question is asked in other words than taught, the names and numbers among them are enough.
pub fn key_words(asked: &[&str], taught: &str, rejected: Option<&str>) -> Vec<String> {
    let wordings: HashSet<String> =
        asked.iter().map(|text| normalized(text)).filter(|text| !text.is_empty()).collect();
    let other_words = wordings.len() > 1;
    let asked: Vec<String> = asked.iter().flat_map(|question| words(question)).collect();
    let wrong: HashSet<String> = words(rejected.unwrap_or("")).into_iter().collect();
    let new: Vec<String> =
        content_words(taught).into_iter().filter(|word| !holds(&asked, word)).collect();
    let telling: Vec<String> = new.iter().filter(|word| !wrong.contains(*word)).cloned().collect();
    let telling = if telling.is_empty() { new } else { telling };
    // Asked in other words, the answer may take another verb; its names and numbers stay.
    let names = names_and_numbers(taught);
    let named: Vec<String> = telling.iter().filter(|word| names.contains(word)).cloned().collect();
    if other_words && !named.is_empty() { named } else { telling }
}

/// Whether a free-running answer says what was taught: the same words, or every key word (four in five where there
/// are more than four). `asked` holds the question's wordings.
pub fn says(answer: &str, asked: &[&str], taught: &str, rejected: Option<&str>) -> bool {
    let given = words(answer);
    let target = words(taught);
    if given == target {
        return true;
    }
    let keys = key_words(asked, taught, rejected);
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

/// The share of texts that hold a form of a word.
fn share(texts: &[Vec<String>], word: &str) -> f64 {
    let holding = texts.iter().filter(|text| holds(text, word)).count();
    holding as f64 / texts.len().max(1) as f64
}

fn raw_words(text: &str) -> impl Iterator<Item = String> + '_ {
    let apostrophe = |c: char| matches!(c, '\'' | '\u{2019}');
    let pieces = text.split(move |c: char| !c.is_alphanumeric() && !apostrophe(c));
    pieces.filter_map(move |piece| {
        // "dog's" is a form of "dog", "don't" one word.
        let piece = piece.trim_matches(apostrophe);
        let owner = piece.strip_suffix(['s', 'S']).and_then(|rest| rest.strip_suffix(apostrophe));
        let word: String = owner.unwrap_or(piece).chars().filter(|c| !apostrophe(*c)).collect();
        (!word.is_empty()).then_some(word)
    })
}

fn lower(word: &str) -> String {
    word.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_about_something() {
        let of = |question: &str, rare: &[&str]| {
            subject(question, &rare.iter().map(|word| word.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(of("Who maintains the Brindle library?", &["brindle"]), "the Brindle library");
        assert_eq!(
            of("Which planet does the moon Miranda orbit?", &["miranda"]),
            "the moon Miranda"
        );
        assert_eq!(of("What is the name of my dog?", &["dog"]), "my dog");
        assert_eq!(of("What is the capital of Palau?", &["palau"]), "Palau");
        assert_eq!(of("What is it?", &["palau"]), "");
        let novel = ["master", "margarita"];
        let found = of("Who wrote the novel The Master and Margarita?", &novel);
        assert_eq!(found, "the novel The Master and Margarita");
        assert_eq!(
            of("Where does our team hold its spring meeting?", &["spring", "meeting"]),
            "its spring meeting"
        );
        assert_eq!(bare_name("the Brindle library", &["brindle".into()]), Some("Brindle".into()));
        assert_eq!(bare_name("my dog", &["dog".into()]), None);
        assert_eq!(bare_name("Palau", &["palau".into()]), None);
    }

    #[test]
    fn function_words_are_sorted_for_the_binary_search() {
        assert!(FUNCTION_WORDS.is_sorted());
    }
}
