//! The schedule of a simulated user: what each day brings, and what holds after some days.
//!
//! Two streams: a user with facts, code and notes (`UserStream`), and an endless one of facts that change, for the small
//! model (`Drift`). It knows no model and no learner. Invariant: a day depends on the seed and its number alone, so a run
//! that is continued meets the same days, and a shorter run is the beginning of a longer one.

use super::data::{Data, Fact, Note, SourceFile};
use crate::cli::synth::world::{Form, World};
use crate::model::random::Random;
use std::collections::BTreeMap;

/// Days over which a user's data is spread.
pub const SPAN: usize = 100;

/// What the days of ten bring, in turn.
const PATTERN: [Subject; 10] = [
    Subject::Facts,
    Subject::Facts,
    Subject::Code,
    Subject::Facts,
    Subject::Notes,
    Subject::Facts,
    Subject::Facts,
    Subject::Code,
    Subject::Facts,
    Subject::Notes,
];

/// Days after which the drifting stream has moved on to the next form.
const FORM_DAYS: usize = 25;

/// Syllables of invented names.
const SYLLABLES: [&str; 12] =
    ["vel", "dro", "mar", "ke", "lun", "os", "tar", "pim", "gra", "so", "bel", "fi"];

/// What a day is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Corrections of facts.
    Facts,
    /// A file of code.
    Code,
    /// Notes in the user's style.
    Notes,
}

/// What a day brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Day {
    /// Facts to be corrected.
    Facts(Vec<Fact>),
    /// Files to be learned.
    Code(Vec<SourceFile>),
    /// Notes to be learned.
    Notes(Vec<Note>),
}

impl Day {
    /// Its subject's name.
    pub fn name(&self) -> &'static str {
        match self {
            Day::Facts(_) => "facts",
            Day::Code(_) => "code",
            Day::Notes(_) => "notes",
        }
    }
}

/// A stream of days, counted from 1.
pub trait Stream {
    /// What a day brings; none is a day after the last.
    fn day(&self, number: usize) -> Option<Day>;

    /// The facts that hold after some days, each with its last answer, in the order in which they were first taught.
    fn facts_after(&self, days: usize) -> Vec<Fact>;

    /// The user's code and notes, where there are any.
    fn data(&self) -> Option<&Data>;
}

/// A user over `SPAN` days.
pub struct UserStream {
    data: Data,
}

impl UserStream {
    /// The user of a folder's data, its parts in an order of the seed's.
    pub fn new(mut data: Data, seed: u64) -> Self {
        Random::named(seed, "facts").shuffle(&mut data.facts);
        Random::named(seed, "code").shuffle(&mut data.code);
        Random::named(seed, "notes").shuffle(&mut data.notes);
        Self { data }
    }
}

impl Stream for UserStream {
    fn day(&self, number: usize) -> Option<Day> {
        if number == 0 || number > SPAN {
            return None;
        }
        let index = number - 1;
        let subject = PATTERN[index % PATTERN.len()];
        let of_subject =
            |days: usize| (0..days).filter(|i| PATTERN[i % PATTERN.len()] == subject).count();
        let (nth, of) = (of_subject(index), of_subject(SPAN));
        Some(match subject {
            Subject::Facts => Day::Facts(share(&self.data.facts, nth, of)),
            Subject::Code => Day::Code(share(&self.data.code, nth, of)),
            Subject::Notes => Day::Notes(share(&self.data.notes, nth, of)),
        })
    }

    fn facts_after(&self, days: usize) -> Vec<Fact> {
        let days = (1..=days).filter_map(|number| self.day(number));
        days.flat_map(|day| if let Day::Facts(facts) = day { facts } else { Vec::new() }).collect()
    }

    fn data(&self) -> Option<&Data> {
        Some(&self.data)
    }
}

/// The nth of `of` even shares.
fn share<T: Clone>(items: &[T], nth: usize, of: usize) -> Vec<T> {
    items[nth * items.len() / of..(nth + 1) * items.len() / of].to_vec()
}

/// Facts of the small model's world that change: each day corrects one, half of the time about something new, and what it
/// is about moves from form to form.
pub struct Drift {
    forms: Vec<Form>,
    seed: u64,
}

impl Drift {
    /// The stream of a seed over the small model's world.
    pub fn new(seed: u64) -> Self {
        Self { forms: World::read().forms, seed }
    }

    fn fact(&self, number: usize) -> Fact {
        let mut random = Random::named(self.seed, &format!("day {number}"));
        // Three days in four keep to the form of the time.
        let form = if random.unit() < 0.75 {
            number / FORM_DAYS % self.forms.len()
        } else {
            random.below(self.forms.len())
        };
        let form = &self.forms[form];
        let name = if random.unit() < 0.5 {
            invented(&mut random)
        } else {
            form.lessons[random.below(form.lessons.len())].0.clone()
        };
        // Held-out names keep clear of what core knowledge asks; the answers are the form's, so they are words it knows.
        let answers = form.items.iter().chain(&form.lessons);
        let answers: Vec<&String> = answers.map(|(_, answer)| answer).collect();
        let answer = answers[random.below(answers.len())].clone();
        let fact = form.fact(&(name, answer));
        let mut questions = fact.questions.into_iter();
        let prompt = questions.next().unwrap_or_default();
        let (rephrasings, answer) = (questions.collect(), fact.answer);
        Fact { id: format!("day-{number:04}"), prompt, answer, rephrasings, near: None }
    }
}

impl Stream for Drift {
    fn day(&self, number: usize) -> Option<Day> {
        (number > 0).then(|| Day::Facts(vec![self.fact(number)]))
    }

    fn facts_after(&self, days: usize) -> Vec<Fact> {
        let mut at: BTreeMap<String, usize> = BTreeMap::new();
        let mut facts: Vec<Fact> = Vec::new();
        for fact in (1..=days).map(|number| self.fact(number)) {
            match at.get(&fact.prompt) {
                Some(&index) => facts[index] = fact,
                None => {
                    at.insert(fact.prompt.clone(), facts.len());
                    facts.push(fact);
                }
            }
        }
        facts
    }

    fn data(&self) -> Option<&Data> {
        None
    }
}

/// A name of two or three syllables.
fn invented(random: &mut Random) -> String {
    let n = 2 + random.below(2);
    let name: String = (0..n).map(|_| SYLLABLES[random.below(SYLLABLES.len())]).collect();
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
