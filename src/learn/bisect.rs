//! Which cycle broke an item: a binary search over HEAD's line, from a version that got it right.
//!
//! Scores that are kept are read; the others are measured, each on the one item. Invariant: the version that is found
//! gets the item wrong, and the one before it gets it right.

use super::evaluate::evaluate;
use super::keys::{base_key, scores_key};
use super::learner::{LearnError, LearnResult, Learner, json};
use super::names::{BASE, HEAD};
use super::student::Student;
use super::suite::{Item, example_key, user_items};
use super::version::lineage;
use crate::store::{Store, Table, Write};
use serde::Serialize;

/// What a bisection found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bisection {
    /// The item's key.
    pub item: String,
    /// The first version that gets it wrong.
    pub broken_by: String,
    /// The one before it, which gets it right; none is the base model.
    pub right_before: Option<String>,
    /// Versions between the two ends.
    pub versions: usize,
    /// Versions that were looked at, the ends included.
    pub looked_at: usize,
    /// Of these, how many had to be asked.
    pub asked: usize,
}

impl<S: Store> Learner<S> {
    /// Finds the version that broke an item: an example's id or a suite item's key or name (`core/…`), or the beginning
    /// of either. `good` is a version that gets it right, by default the one that learned the example, or the base model.
    pub async fn bisect(
        &mut self,
        student: &mut dyn Student,
        item: &str,
        good: Option<&str>,
    ) -> LearnResult<Bisection> {
        self.check_base(student, self.head())?;
        let item = self.item(item)?;
        let found = self.search(student, &item, good).await;
        self.serve(student, self.head()).await?;
        found
    }

    async fn search(
        &mut self,
        student: &mut dyn Student,
        item: &Item,
        good: Option<&str>,
    ) -> LearnResult<Bisection> {
        let mut line: Vec<Option<String>> = lineage(&self.versions, self.head.as_deref())
            .iter()
            .rev()
            .map(|version| Some(version.id.clone()))
            .collect();
        let first = line.first().and_then(|id| self.versions.get(id.as_ref()?));
        if first.is_some_and(|version| version.parent.is_none()) {
            line.insert(0, None);
        }
        let at = match good {
            Some(name) => {
                let good = self.resolve(name)?;
                let on_line = line.iter().position(|id| *id == good);
                on_line.ok_or_else(|| LearnError::Item(format!("{name} is not on HEAD's line")))?
            }
            None => line.iter().position(|id| self.learned_it(id, item)).unwrap_or(0),
        };
        let (mut low, mut high) = (at, line.len().saturating_sub(1));
        let (mut looked_at, mut asked) = (0, 0);
        for (end, wanted, name) in [(high, false, HEAD), (low, true, good.unwrap_or("the start"))] {
            let right = self.is_right(student, line.get(end).unwrap_or(&None), item, &mut asked);
            looked_at += 1;
            if right.await? != wanted {
                let text = if wanted { "wrong already" } else { "right" };
                let text = format!("{}: {name} gets it {text}", item.key);
                return Err(LearnError::Item(text));
            }
        }
        let versions = high - low;
        while high - low > 1 {
            let middle = low.midpoint(high);
            looked_at += 1;
            match self.is_right(student, &line[middle], item, &mut asked).await? {
                true => low = middle,
                false => high = middle,
            }
        }
        let broken_by = line[high].clone().unwrap_or_else(|| BASE.into());
        let (item, right_before) = (item.key.clone(), line[low].clone());
        Ok(Bisection { item, broken_by, right_before, versions, looked_at, asked })
    }

    /// Whether a version of the line is the one that learned the item's example.
    fn learned_it(&self, id: &Option<String>, item: &Item) -> bool {
        let version = id.as_ref().and_then(|id| self.versions.get(id));
        version.is_some_and(|v| v.learned.iter().any(|id| example_key(id) == item.key))
    }

    async fn is_right(
        &self,
        student: &mut dyn Student,
        id: &Option<String>,
        item: &Item,
        asked: &mut usize,
    ) -> LearnResult<bool> {
        let key = id.clone().unwrap_or_else(|| base_key(&student.base_hash()));
        let mut scores = self.scores(&key).await?;
        if !scores.contains_key(&item.key) {
            *asked += 1;
            self.serve(student, id.as_ref().and_then(|id| self.versions.get(id))).await?;
            evaluate(student, std::slice::from_ref(item), &mut scores, &mut |_| {}).await?;
            self.store.apply(&[Write::put(Table::Cache, scores_key(&key), json(&scores))]).await?;
        }
        scores[&item.key].correct.ok_or_else(|| {
            LearnError::Item(format!(
                "{}: a text is read, not answered; nothing is right",
                item.key
            ))
        })
    }

    /// The one item that a name means.
    fn item(&self, name: &str) -> LearnResult<Item> {
        let examples: Vec<_> = self.examples.values().collect();
        let own = user_items(&[], &examples).into_values().flatten();
        let all = own.chain(self.suites.items().into_values().flatten());
        let fits = |item: &Item| {
            let bare = item.key.split_once('/').map_or("", |(_, bare)| bare);
            item.key.starts_with(name) || bare.starts_with(name)
        };
        let mut fitting: Vec<Item> = all.filter(fits).collect();
        // A whole name, up to the hash behind it, is meant even where it begins another.
        let whole = |item: &Item| item.key.split('/').any(|part| part == name) || item.key == name;
        if fitting.len() > 1 && fitting.iter().filter(|item| whole(item)).count() > 0 {
            fitting.retain(whole);
        }
        // An example's own question comes before its rephrasings.
        fitting.sort_by_key(|item| item.key.starts_with("rephrased/"));
        match (fitting.first(), name.is_empty()) {
            (Some(item), false) => Ok(item.clone()),
            _ => Err(LearnError::Item(format!("no example or suite item `{name}`"))),
        }
    }
}
