//! The batches of a training run: which rows teach, which replay, which protect.
//!
//! It knows no model. Invariant: the target of a row that protects is always the base's own distribution over its own
//! answer, never a taught one.

use super::{Drill, Lesson, OwnAnswer, Recipe, rewordings};
use crate::format::message::Message;
use crate::learn::replay::Pool;
use crate::learn::student::{Objective, Passage, TrainItem};
use crate::model::random::Random;
use std::collections::BTreeSet;

/// Draws batches, in epochs over the new lessons.
#[derive(Debug)]
pub struct Draws<'a> {
    recipe: &'a Recipe,
    new: &'a [Lesson],
    earlier: &'a [Lesson],
    generic: &'a [OwnAnswer],
    pool: Pool,
    replayed: BTreeSet<usize>,
    queue: Vec<usize>,
    random: Random,
}

impl<'a> Draws<'a> {
    /// Draws over new lessons (at least one), earlier ones and the base's own generic answers, in cycle number `cycle`.
    pub fn new(
        recipe: &'a Recipe,
        new: &'a [Lesson],
        earlier: &'a [Lesson],
        generic: &'a [OwnAnswer],
        cycle: u64,
        seed: u64,
    ) -> Self {
        assert!(!new.is_empty(), "a run teaches something");
        let random = Random::named(seed, "batches");
        let pool = Pool::new(recipe.replay, earlier.iter().map(|l| &l.example), cycle);
        let (replayed, queue) = (BTreeSet::new(), Vec::new());
        Self { recipe, new, earlier, generic, pool, replayed, queue, random }
    }

    /// The earlier lessons that were drawn so far.
    pub fn replayed(&self) -> impl Iterator<Item = &'a Lesson> {
        self.replayed.iter().map(|index| &self.earlier[*index])
    }

    /// The next batch: rows that teach or replay, and rows that protect.
    pub fn batch(&mut self) -> Vec<TrainItem> {
        let share = (self.recipe.rows as f64 * self.recipe.replay_share).ceil() as usize;
        let replayed = if self.earlier.is_empty() { 0 } else { share.min(self.recipe.rows - 1) };
        let mut lessons: Vec<(&'a Lesson, f32)> = Vec::new();
        for draw in self.pool.draw(replayed, &mut self.random) {
            self.replayed.insert(draw.index);
            lessons.push((&self.earlier[draw.index], draw.weight));
        }
        while lessons.len() < self.recipe.rows {
            let index = self.next_new();
            lessons.push((&self.new[index], 1.0));
        }
        let rows = lessons.iter().enumerate();
        let teaching = rows.map(|(row, (lesson, weight))| TrainItem {
            weight: *weight,
            protects: row < replayed,
            ..self.teach(lesson)
        });
        let mut items: Vec<TrainItem> = teaching.collect();
        // New lessons come last, and what they damage is nearest.
        let protected = lessons.iter().rev().cycle().take(self.recipe.protecting);
        let protecting: Vec<TrainItem> =
            protected.filter_map(|(lesson, _)| self.protect(lesson)).collect();
        items.extend(protecting);
        items
    }

    /// The next new lesson: every one comes once before any comes again.
    fn next_new(&mut self) -> usize {
        if self.queue.is_empty() {
            self.queue = (0..self.new.len()).collect();
            self.random.shuffle(&mut self.queue);
        }
        self.queue.pop().expect("it was just filled")
    }

    fn teach(&mut self, lesson: &Lesson) -> TrainItem {
        let content = &lesson.example.content;
        let verbatim =
            lesson.drill.rare.is_empty() || self.random.unit() < self.recipe.verbatim_share;
        let other = match content.question_answer() {
            Some((question, answer)) if !verbatim => {
                let worded = rewordings::draw(lesson, question, &mut self.random);
                worded.map(|worded| (worded, answer))
            }
            _ => None,
        };
        let passage = match other {
            Some((question, answer)) => {
                let mut messages = content.asking(&question);
                messages.push(Message::assistant(answer));
                Passage::Chat(messages)
            }
            None => content.passage(),
        };
        TrainItem { passage, objective: Objective::CrossEntropy, weight: 1.0, protects: false }
    }

    /// A neighbour of the lesson; one time in four another question about its subject, one time in four, and where
    /// there is none of either, a generic answer.
    fn protect(&mut self, lesson: &Lesson) -> Option<TrainItem> {
        let Drill { neighbours, near_misses, .. } = &lesson.drill;
        let pools = match self.random.below(4) {
            0 => [self.generic, neighbours, near_misses],
            1 => [near_misses, neighbours, self.generic],
            _ => [neighbours, near_misses, self.generic],
        };
        let pool = pools.into_iter().find(|pool| !pool.is_empty()).unwrap_or_default();
        if pool.is_empty() {
            return None;
        }
        let messages = pool[self.random.below(pool.len())].messages.clone();
        let weight = self.recipe.kl_weight;
        Some(TrainItem {
            passage: Passage::Chat(messages),
            objective: Objective::KlToBase,
            weight,
            protects: true,
        })
    }
}
