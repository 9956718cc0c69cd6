//! Checkpoints of a training run: what it needs to go on after its process or its tab was killed.
//!
//! The adapter and both moments are a blob each, and one record names them with the run's position and what the run
//! belongs to; draws are made again instead of kept. The learner's clock decides when one is written, and nothing else.
//! Invariants: only a run of the same lessons, recipe, seed and start goes on from it; a run learns the same whether any
//! was written or not; the record goes in the write that ends the cycle, moves HEAD, or takes an example away. A cycle
//! that its user stopped keeps it.

use super::keys::CHECKPOINT;
use super::learner::{LearnResult, Learner, json};
use super::position::{Checkpoint, Pace, Position};
use super::prepare::Material;
use super::report::{Event, LearnOptions};
use super::student::{Snapshot, Student, TrainPlan};
use crate::model::adapter::Adapter;
use crate::store::{Store, Table, Write, sha256_hex};
use serde::Serialize;
use std::collections::HashSet;

/// What a run lasts for each millisecond that its checkpoints take.
const TIMES_THE_COST: u64 = 20;

/// Bytes of checkpoints that a home takes in each millisecond.
const BYTES_A_MS: u64 = 1_000;

/// A run that was cut off or stopped, and that the next cycle goes on with if its options are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Interrupted {
    /// Steps that are kept.
    pub step: usize,
    /// Most steps.
    pub steps_max: usize,
    /// Lessons that it teaches.
    pub lessons: usize,
    /// When its last step was kept, milliseconds since 1970.
    pub at_ms: u64,
}

impl<S: Store> Learner<S> {
    /// With checkpoints at another pace than the bounded one.
    pub fn with_checkpoints(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// The run that the next cycle goes on with, if there is one and its options are the same.
    pub fn interrupted(&self) -> Option<Interrupted> {
        let kept = self.checkpoint.as_ref().filter(|kept| kept.parent == self.head)?;
        let pending = self.pending().into_iter().map(|example| &example.id);
        let Checkpoint { steps_max, at_ms, lessons, .. } = kept;
        let is_next = pending.take(kept.lessons_max).eq(lessons);
        is_next.then_some(Interrupted {
            step: kept.position.step,
            steps_max: *steps_max,
            lessons: lessons.len(),
            at_ms: *at_ms,
        })
    }

    /// The record of a run that has not ended. One that cannot be read is none.
    pub(super) async fn kept_checkpoint(&self) -> LearnResult<Option<Checkpoint>> {
        let record = self.store.get(Table::Refs, CHECKPOINT).await?;
        Ok(record.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// What keeps the position of a run.
    pub(super) async fn keeper(
        &self,
        base_hash: &str,
        material: &Material,
        (options, plan): (&LearnOptions, &TrainPlan),
    ) -> LearnResult<Keeper<'_, S>> {
        let lessons = material.new.iter().map(|lesson| lesson.example.id.clone()).collect();
        let kept = self.kept_checkpoint().await?;
        Ok(Keeper {
            store: &self.store,
            clock: &*self.clock,
            pace: self.pace,
            run: run_hash(base_hash, self.head.as_deref(), material, (options, plan)),
            parent: self.head.clone(),
            lessons,
            lessons_max: options.lessons_max,
            steps_max: plan.steps,
            named: self.named_blobs().await?,
            kept,
            bytes: 0,
            due_ms: 0,
        })
    }
}

/// Keeps the position of one run.
pub(super) struct Keeper<'a, S: Store> {
    store: &'a S,
    clock: &'a dyn Fn() -> u64,
    pace: Pace,
    run: String,
    parent: Option<String>,
    lessons: Vec<String>,
    lessons_max: usize,
    steps_max: usize,
    /// Blobs that others name.
    named: HashSet<String>,
    kept: Option<Checkpoint>,
    /// Of one checkpoint.
    bytes: u64,
    due_ms: u64,
}

impl<S: Store> Keeper<'_, S> {
    /// Now, by the learner's clock.
    pub fn now_ms(&self) -> u64 {
        (self.clock)()
    }

    /// For short runs behind the first one: cut off, they begin anew where that one ended.
    pub fn keeping_nothing(mut self) -> Self {
        (self.pace, self.kept) = (Pace::Never, None);
        self
    }

    /// The beginning of the run, at the adapter `start`: where an earlier process left the same run, if it did.
    pub async fn begin(
        &mut self,
        start: &Adapter,
        events: &mut dyn FnMut(Event),
    ) -> LearnResult<Option<(Position, Snapshot)>> {
        self.bytes = 3 * 4 * start.weights.len() as u64;
        self.due_ms = self.now_ms() + self.bytes / BYTES_A_MS;
        let Some(kept) = self.kept.clone().filter(|kept| kept.run == self.run) else {
            return Ok(None);
        };
        let mut parts = Vec::with_capacity(kept.blobs.len());
        for blob in &kept.blobs {
            parts.extend(self.part(blob, start).await);
        }
        let Ok([adapter, first, second]) = <[Adapter; 3]>::try_from(parts) else {
            let message = "what an interrupted cycle left is damaged; training begins anew".into();
            events(Event::Warning { message });
            return Ok(None);
        };
        Ok(Some((kept.position, Snapshot { adapter, moments: [first, second] })))
    }

    /// A step was taken: its position is kept if that is due.
    pub async fn stepped(
        &mut self,
        student: &mut dyn Student,
        at: &Position,
        events: &mut dyn FnMut(Event),
    ) {
        let is_due = match self.pace {
            Pace::Never => false,
            Pace::Bounded => self.now_ms() >= self.due_ms,
            Pace::EveryStep => true,
        };
        if is_due {
            self.keep(student, at, events).await;
        }
    }

    /// The user stopped the run: it can go on from here.
    pub async fn stopped(
        &mut self,
        student: &mut dyn Student,
        at: &Position,
        events: &mut dyn FnMut(Event),
    ) {
        let kept = self.kept.as_ref().filter(|kept| kept.run == self.run);
        let is_new = kept.is_none_or(|kept| kept.position != *at);
        if at.step > 0 && is_new && self.pace != Pace::Never {
            self.keep(student, at, events).await;
        }
    }

    /// Keeps a position. A home that does not take it (a full disk) costs the checkpoint, not the cycle.
    async fn keep(
        &mut self,
        student: &mut dyn Student,
        at: &Position,
        events: &mut dyn FnMut(Event),
    ) {
        let began_ms = self.now_ms();
        match self.write(student, at).await {
            Ok(()) => events(Event::Kept { step: at.step }),
            Err(error) => {
                self.pace = Pace::Never;
                let message = format!("an interrupted cycle will begin anew: {error}");
                events(Event::Warning { message });
            }
        }
        let now_ms = self.now_ms();
        let cost_ms = now_ms.saturating_sub(began_ms);
        self.due_ms = now_ms + (TIMES_THE_COST * cost_ms).max(self.bytes / BYTES_A_MS);
    }

    /// Blobs first, then the record that names them, then the blobs before.
    async fn write(&mut self, student: &mut dyn Student, at: &Position) -> LearnResult<()> {
        let Snapshot { adapter, moments: [first, second] } = student.snapshot().await?;
        let mut blobs = [String::new(), String::new(), String::new()];
        for (blob, part) in blobs.iter_mut().zip([adapter, first, second]) {
            *blob = self.store.put_blob(&part.to_bytes()).await?;
        }
        let checkpoint = Checkpoint {
            run: self.run.clone(),
            parent: self.parent.clone(),
            lessons: self.lessons.clone(),
            lessons_max: self.lessons_max,
            steps_max: self.steps_max,
            at_ms: self.now_ms(),
            position: at.clone(),
            blobs,
        };
        self.store.apply(&[Write::put(Table::Refs, CHECKPOINT, json(&checkpoint))]).await?;
        let before = self.kept.replace(checkpoint.clone());
        let old: HashSet<String> = before.into_iter().flat_map(|before| before.blobs).collect();
        // Training can come back to an adapter of the history.
        let needed = |blob: &&String| self.named.contains(*blob) || checkpoint.blobs.contains(blob);
        for blob in old.iter().filter(|blob| !needed(blob)) {
            self.store.delete_blob(blob).await?;
        }
        Ok(())
    }

    /// One part of a checkpoint, if it is whole and of the run's shape.
    async fn part(&self, blob: &str, start: &Adapter) -> Option<Adapter> {
        let bytes = self.store.get_blob(blob).await.ok()??;
        let part = Adapter::from_bytes(&bytes).ok()?;
        let shape = |a: &Adapter| (a.method, a.rank, a.alpha.to_bits(), a.weights.len());
        (shape(&part) == shape(start)).then_some(part)
    }
}

/// Hash of all that a run depends on: the program, the models, what is drawn from, and how it is trained.
fn run_hash(
    base_hash: &str,
    head: Option<&str>,
    material: &Material,
    (options, plan): (&LearnOptions, &TrainPlan),
) -> String {
    // The penalty follows from HEAD and the recipe.
    let plan = TrainPlan { penalty: None, ..plan.clone() };
    let version = env!("CARGO_PKG_VERSION");
    let mut parts = vec![format!("{version}/{base_hash}/{head:?}/{plan:?}/{}", material.cycle)];
    parts.push(sha256_hex(&json(options)));
    parts.push(sha256_hex(&json(&material.generic)));
    for lessons in [&material.drilled(), &material.earlier] {
        parts.push(lessons.len().to_string());
        let hashes = lessons.iter().map(|lesson| (&lesson.example, &lesson.drill));
        parts.extend(hashes.map(|both| sha256_hex(&json(&both))));
    }
    sha256_hex(parts.join("/").as_bytes())
}
