//! Trust by source: a file is judged by what became of its other lessons.
//!
//! A poisoned file hides its wrong lessons among right ones, and a screen that looks at each alone finds some of them. Where
//! many of a source's lessons were set aside, by the screen or by a person, the rest waits for a person too. It knows no
//! model. Invariant: what a person wrote, or vouched for, is never judged by where it came from.

use super::example::Example;
use super::learner::Learner;
use crate::store::Store;
use std::collections::{HashMap, HashSet};

/// Lessons that were set aside, from where on a source is doubted, if they are half of its lessons too.
const SET_ASIDE_MIN: usize = 3;

/// What became of a source's lessons.
#[derive(Debug, Default)]
struct Record {
    lessons: usize,
    set_aside: usize,
}

impl<S: Store> Learner<S> {
    /// Those of the unseen examples whose source is doubted, with the reason; `harmful` are set aside already.
    pub(super) fn of_doubted_sources(
        &self,
        unseen: &[&Example],
        harmful: &[(String, String)],
    ) -> Vec<(String, String)> {
        let harmful: HashSet<&String> = harmful.iter().map(|(id, _)| id).collect();
        let mut records: HashMap<&str, Record> = HashMap::new();
        for example in self.examples.values().filter(|example| !example.is_own()) {
            let record = records.entry(&example.source).or_default();
            record.lessons += 1;
            let is_out = harmful.contains(&example.id) || !self.is_free(&example.id);
            record.set_aside += usize::from(is_out);
        }
        let waiting = unseen.iter().filter(|e| !e.is_own() && !harmful.contains(&e.id));
        let doubted = waiting.filter_map(|example| {
            let Record { lessons, set_aside } = records.get(example.source.as_str())?;
            let is_doubted = *set_aside >= SET_ASIDE_MIN && set_aside * 2 >= *lessons;
            is_doubted.then(|| {
                let reason = format!(
                    "{}: {set_aside} of its {lessons} lessons were set aside, so the others wait",
                    example.source
                );
                (example.id.clone(), reason)
            })
        });
        doubted.collect()
    }
}
