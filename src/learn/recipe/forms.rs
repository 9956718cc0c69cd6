//! A question in other forms, by rules of English alone: other openings, possessives, passives, the doer's noun.
//!
//! A small model samples few good rewordings of its own; these are right more often and cost nothing. It knows no
//! model, and gives nothing for a question that it does not understand. Invariant: every form holds all words of the
//! question that are not its opening, or forms of them.

/// Openings of questions (lower case, the longest first) and what can stand in their place; a form that ends in `?`
/// stays a question, the others become requests.
const OPENINGS: [(&str, &[&str]); 17] = [
    ("what is the name of", &["What is the title of", "Tell me the name of.", "Name."]),
    ("what is", &["Tell me.", "Name.", "Give me.", "Do you know", "Can you tell me"]),
    ("what are", &["Tell me.", "List.", "Do you know"]),
    ("who is", &["Tell me who is.", "Do you know who is", "Which person is"]),
    ("who", &["Which person", "Tell me who.", "Do you know who", "Name the person who."]),
    ("whose", &["Tell me whose.", "Of whom is the"]),
    ("on which", &["On what", "Tell me on which.", "Which"]),
    ("in which", &["In what", "Tell me in which.", "Which"]),
    ("at which", &["At what", "Tell me at which.", "Which"]),
    ("to which", &["To what", "Tell me to which.", "Which"]),
    ("where", &["In which place", "At what place", "Tell me where."]),
    ("when", &["At what time", "On which date", "Tell me when."]),
    ("how many", &["What number of", "Tell me how many."]),
    ("how much", &["What amount of", "Tell me how much."]),
    ("how", &["In what way", "Tell me how."]),
    ("which", &["What", "Tell me which.", "Do you know which"]),
    ("what", &["Which", "Tell me what.", "Do you know what"]),
];

/// Past participles that do not end in `ed`, by the verb's forms in a question after "who".
const PARTICIPLES: [(&[&str], &str); 14] = [
    (&["writes", "wrote"], "written"),
    (&["makes", "made"], "made"),
    (&["builds", "built"], "built"),
    (&["leads", "led"], "led"),
    (&["runs", "ran"], "run"),
    (&["keeps", "kept"], "kept"),
    (&["sings", "sang"], "sung"),
    (&["draws", "drew"], "drawn"),
    (&["gives", "gave"], "given"),
    (&["takes", "took"], "taken"),
    (&["teaches", "taught"], "taught"),
    (&["finds", "found"], "found"),
    (&["holds", "held"], "held"),
    (&["drives", "drove"], "driven"),
];

/// Verbs whose doer ends in `or`.
const DOERS_IN_OR: [&str; 8] =
    ["invent", "direct", "creat", "edit", "conduct", "act", "collect", "investigat"];

/// The forms of `question`, each once, without the question itself.
pub fn forms(question: &str) -> Vec<String> {
    let asked = question.trim().trim_end_matches(['?', '.', ' ']);
    let mut made = opened(asked);
    if let Some((noun, owner)) = noun_of_owner(asked) {
        let bare = owner.strip_prefix("the ").unwrap_or(owner);
        made.push(format!("What is {bare}'s {noun}?"));
        made.push(format!("Which {noun} does {owner} have?"));
        made.push(format!("{}: what is its {noun}?", capitalized(bare)));
    }
    if let Some((verb, object)) = who_does(asked) {
        made.extend(done_by(verb, object));
    }
    made.retain(|form| form.trim_end_matches(['?', '.']) != asked);
    made.dedup();
    made
}

/// The question with other openings.
fn opened(asked: &str) -> Vec<String> {
    let lower = asked.to_lowercase();
    let opens = |opening: &&(&str, &[&str])| {
        lower.strip_prefix(opening.0).is_some_and(|rest| rest.starts_with(' '))
    };
    let Some((opening, others)) = OPENINGS.iter().find(opens) else { return Vec::new() };
    // The opening is plain ASCII, so its length is the same in the text as it was written.
    let rest = &asked[opening.len()..];
    let form = |other: &&str| match other.strip_suffix('.') {
        Some(request) => format!("{request}{rest}."),
        None => format!("{other}{rest}?"),
    };
    others.iter().map(form).collect()
}

/// "What is the NOUN of OWNER", taken apart.
fn noun_of_owner(asked: &str) -> Option<(&str, &str)> {
    let rest = asked.strip_prefix("What is the ").or_else(|| asked.strip_prefix("what is the "))?;
    let (noun, owner) = rest.split_once(" of ")?;
    let short = noun.split_whitespace().count() <= 3 && !owner.is_empty();
    short.then_some((noun, owner))
}

/// "Who VERB OBJECT", taken apart; none where the verb is "is" or a helping one.
fn who_does(asked: &str) -> Option<(&str, &str)> {
    const HELPING: [&str; 9] = ["is", "are", "was", "were", "has", "had", "can", "will", "does"];
    let rest = asked.strip_prefix("Who ").or_else(|| asked.strip_prefix("who "))?;
    let (verb, object) = rest.split_once(' ')?;
    (!HELPING.contains(&verb)).then_some((verb, object))
}

/// "Who maintains X" as "By whom is X maintained" and "Who is the maintainer of X".
fn done_by(verb: &str, object: &str) -> Vec<String> {
    let irregular = PARTICIPLES.iter().find(|(forms, _)| forms.contains(&verb));
    let past = verb.ends_with("ed") || irregular.is_some_and(|(forms, _)| forms[1] == verb);
    let (stem, participle) = match irregular {
        Some((forms, participle)) => {
            (forms[0].trim_end_matches('s').to_string(), participle.to_string())
        }
        None if verb.ends_with("ed") => (verb[..verb.len() - 2].to_string(), verb.to_string()),
        None if verb.ends_with('s') && verb.is_ascii() => {
            let stem = verb.trim_end_matches('s').trim_end_matches('e').to_string();
            let participle = format!("{stem}ed");
            (stem, participle)
        }
        None => return Vec::new(),
    };
    let stem = stem.trim_end_matches('e');
    let doer = if DOERS_IN_OR.contains(&stem) { "or" } else { "er" };
    let be = if past { "was" } else { "is" };
    vec![
        format!("By whom {be} {object} {participle}?"),
        format!("{} {be} {participle} by whom?", capitalized(object)),
        format!("Who is the {stem}{doer} of {object}?"),
        format!("Name the {stem}{doer} of {object}."),
    ]
}

/// The text with a capital first letter.
fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_take_other_forms() {
        let of = forms("What is the code name of the Halverson project?");
        for wanted in [
            "Tell me the code name of the Halverson project.",
            "What is Halverson project's code name?",
            "Which code name does the Halverson project have?",
        ] {
            assert!(of.iter().any(|form| form == wanted), "{wanted} is not in {of:?}");
        }
        let who = forms("Who maintains the Brindle library?");
        for wanted in [
            "Which person maintains the Brindle library?",
            "By whom is the Brindle library maintained?",
            "Name the maintainer of the Brindle library.",
        ] {
            assert!(who.iter().any(|form| form == wanted), "{wanted} is not in {who:?}");
        }
        assert!(forms("Who wrote Dracula?").contains(&"By whom was Dracula written?".to_string()));
        assert!(forms("Who invented it?").contains(&"Who is the inventor of it?".to_string()));
    }

    #[test]
    fn what_is_not_understood_has_no_forms() {
        assert!(forms("Brindle library maintainer").is_empty());
        assert!(forms("").is_empty());
        assert!(forms("Ärger mit Öl?").is_empty());
        assert!(forms("Whatever works?").is_empty(), "an opening ends with its word");
    }
}
