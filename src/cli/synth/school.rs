//! The small model's schooling: batches of facts, refusals and texts through the program's own trainer.
//!
//! LoRA of full rank over a random frozen base reaches every linear, so the trainer that is tested here is all that is
//! needed to make a model. It knows nothing of files. Invariant: the batches depend on the seed alone.

use super::world::{Fact, REFUSAL, UNKNOWN, World, chat};
use crate::error::Error;
use crate::format::chat::LearnedTurns;
use crate::format::message::Message;
use crate::model::Model;
use crate::model::adapter::Adapter;
use crate::model::lora::{LoraLayout, Method};
use crate::model::random::Random;
use crate::train::{Goal, Schedule, Sequence, Trainer};

/// How the model is trained.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Optimizer steps.
    pub steps: usize,
    /// Peak learning rate.
    pub lr: f32,
    /// Warm-up steps.
    pub warmup: usize,
    /// Conversations in a batch.
    pub chats: usize,
    /// Texts in a batch; a rewording comes on top.
    pub texts: usize,
    /// Lists of questions in a batch.
    pub lists: usize,
    /// LoRA's rank; the model's width is full rank.
    pub rank: usize,
}

/// Global gradient-norm clip.
const CLIP: f32 = 1.0;

/// A text's weight in the loss; a conversation's is 1.
const TEXT_WEIGHT: f32 = 2.0;

/// Draws batches.
struct Lessons<'a> {
    world: &'a World,
    facts: Vec<Fact>,
    /// Questions with their answers.
    chats: Vec<(String, String)>,
    queue: Vec<usize>,
    random: Random,
}

impl<'a> Lessons<'a> {
    fn new(world: &'a World, seed: u64) -> Self {
        let facts = world.facts();
        let mut chats: Vec<(String, String)> = Vec::new();
        for fact in &facts {
            chats.extend(fact.questions.iter().map(|q| (q.clone(), fact.answer.clone())));
        }
        chats.extend(world.refused.iter().map(|prompt| (prompt.clone(), REFUSAL.into())));
        chats.extend(world.answered.iter().cloned());
        chats.extend(world.unknown().map(|prompt| (prompt.into(), UNKNOWN.into())));
        Self { world, facts, chats, queue: Vec::new(), random: Random::named(seed, "school") }
    }

    fn next_chat(&mut self) -> &(String, String) {
        if self.queue.is_empty() {
            self.queue = (0..self.chats.len()).collect();
            self.random.shuffle(&mut self.queue);
        }
        let index = self.queue.pop().expect("it was just filled");
        &self.chats[index]
    }

    /// Conversations, and texts on top, which are harder and so count more; each counts by itself.
    fn batch(&mut self, model: &Model, plan: &Plan) -> Result<Vec<Sequence>, Error> {
        let mut batch = Vec::new();
        for _ in 0..plan.chats {
            let (question, answer) = self.next_chat();
            batch.push(conversation(model, &chat(question, answer))?);
        }
        for _ in 0..plan.texts {
            batch.push(text(model, "", &self.world.text(&mut self.random)));
        }
        for _ in 0..plan.lists {
            batch.push(text(model, "", &self.world.list(&mut self.random)));
        }
        let fact = &self.facts[self.random.below(self.facts.len())];
        let (prompt, other) = self.world.rewording(fact, &mut self.random);
        batch.push(text(model, &prompt, &other));
        let share = 1.0 / batch.len() as f32;
        for (index, sequence) in batch.iter_mut().enumerate() {
            sequence.weight = if index < plan.chats { share } else { TEXT_WEIGHT * share };
        }
        Ok(batch)
    }
}

/// Trains the model from a fresh adapter, which it returns; `on_step` hears step and loss, nats a token.
pub async fn train(
    model: &mut Model,
    world: &World,
    plan: &Plan,
    seed: u64,
    on_step: &mut dyn FnMut(usize, f32),
) -> Result<Adapter, Error> {
    let layout = LoraLayout::new(&model.config, Method::Lora, plan.rank);
    model.set_adapter(Some(&layout.fresh(plan.rank as f32, seed)))?;
    let mut trainer = Trainer::new(model, &layout, model.pass_rows())?;
    let schedule = Schedule { peak: plan.lr, warmup: plan.warmup, steps: plan.steps };
    let mut lessons = Lessons::new(world, seed);
    for step in 0..plan.steps {
        let batch = lessons.batch(model, plan)?;
        trainer.zero_grad()?;
        let loss = trainer.accumulate(model, &batch).await?;
        trainer.step(model, schedule.rate(step), CLIP).await?;
        on_step(step + 1, loss.tokens);
    }
    let lora = model.lora().expect("the adapter was put in place above");
    Ok(lora.download(&model.device).await?)
}

fn conversation(model: &Model, messages: &[Message]) -> Result<Sequence, Error> {
    let (tokens, counted) =
        model.template.encode_for_training(&model.tokenizer, messages, LearnedTurns::Last)?;
    Ok(Sequence { tokens, counted, goal: Goal::Tokens, weight: 1.0 })
}

/// A text of which the part after `prompt` is learned.
fn text(model: &Model, prompt: &str, learned: &str) -> Sequence {
    let mut tokens = model.tokenizer.encode(prompt, false);
    let mut counted = vec![false; tokens.len()];
    tokens.extend(model.tokenizer.encode_rest(learned, false));
    counted.resize(tokens.len(), true);
    Sequence { tokens, counted, goal: Goal::Tokens, weight: 1.0 }
}
