//! What the learning loop asks of a model: answer, score, train. The loop knows nothing else of it.
//!
//! The real one is `learn::engine` (model + train on a device); tests use a small table. All calls are async,
//! since reading a device back is async in a browser; an implementation yields to its host between steps.

use super::scope::Scope;
use crate::format::message::Message;
use crate::model::adapter::Adapter;
use crate::model::method::Method;
use crate::train::{Form, Importance, Surgery};

/// Why a student could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StudentError {
    /// The user asked to stop.
    #[error("stopped by the user")]
    Cancelled,
    /// The model, the device or the trainer failed.
    #[error("{0}")]
    Failed(String),
}

/// A student's result.
pub type StudentResult<T> = Result<T, StudentError>;

/// A text of which a part is to be learned or scored.
#[derive(Debug, Clone, PartialEq)]
pub enum Passage {
    /// A conversation in the model's chat template; the last message (the assistant's) and its end-of-turn count.
    Chat(Vec<Message>),
    /// Plain text without a template; every token but the first counts.
    Text(String),
}

/// What a training example pulls towards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objective {
    /// Cross entropy with the passage's own tokens.
    CrossEntropy,
    /// KL divergence from the base model's distribution (adapter off) at the counted positions.
    KlToBase,
}

/// One example of a training batch.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainItem {
    /// The text.
    pub passage: Passage,
    /// The objective.
    pub objective: Objective,
    /// Factor on this item's mean loss (an item counts once, whatever its length).
    pub weight: f32,
    /// It keeps what is known already: with gradient surgery, what teaches gives way to it.
    pub protects: bool,
}

/// EWC's penalty of a run, around the adapter that it starts from.
#[derive(Debug, Clone, PartialEq)]
pub struct Penalty {
    /// What earlier learning needs of the adapter.
    pub importance: Importance,
    /// The penalty's weight λ.
    pub lambda: f32,
}

/// How to train; the optimizer is AdamW.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainPlan {
    /// Method of a fresh adapter (an existing HEAD keeps its own).
    pub method: Method,
    /// LoRA rank of a fresh adapter (an existing HEAD keeps its own).
    pub rank: usize,
    /// LoRA alpha of a fresh adapter.
    pub alpha: f32,
    /// Peak learning rate.
    pub lr: f32,
    /// LoRA+: B learns so many times as fast as A; 1 is plain AdamW.
    pub b_ratio: f32,
    /// Steps planned: linear warm-up over the first `warmup`, then cosine decay to a tenth.
    pub steps: usize,
    /// Warm-up steps.
    pub warmup: usize,
    /// Global gradient-norm clip.
    pub clip: f32,
    /// Seed of a fresh adapter's A matrices.
    pub seed: u64,
    /// Where what teaches gives way to what protects.
    pub surgery: Surgery,
    /// EWC's penalty, if there is one.
    pub penalty: Option<Penalty>,
}

/// All numbers of a training run that its student holds: with them, a run that began alike goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The adapter as it is trained so far.
    pub adapter: Adapter,
    /// The optimizer's first and second moments, in the adapter's shape.
    pub moments: [Adapter; 2],
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Mean cross entropy of the batch's cross-entropy items, nats a token.
    pub loss: f32,
    /// Mean KL of the batch's KL items, nats a token.
    pub kl: f32,
    /// Global norm of the gradient before clipping.
    pub grad_norm: f32,
    /// Tokens that went through the model.
    pub tokens: usize,
}

/// How to answer freely.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswerOptions {
    /// Most tokens to generate.
    pub tokens_max: usize,
    /// 0 is greedy.
    pub temperature: f32,
    /// Seed of the sampler.
    pub seed: u64,
}

/// Greedy answering with a bound.
pub fn greedy(tokens_max: usize) -> AnswerOptions {
    AnswerOptions { tokens_max, temperature: 0.0, seed: 0 }
}

/// A free-running answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// What was said.
    pub text: String,
    /// Whether it came to an end of itself.
    pub ended: bool,
}

/// Log-likelihood of a counted part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likelihood {
    /// Sum of log-probabilities, nats (at most 0).
    pub log_prob: f64,
    /// Tokens counted.
    pub tokens: usize,
}

/// A conversation with answers that are compared by their log-likelihoods.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The conversation, up to the user's question.
    pub messages: Vec<Message>,
    /// What the assistant could say.
    pub choices: Vec<String>,
}

/// A model that can answer, be scored and be trained. All calls use the adapter last put in place where its scope covers
/// the question or the plain text, and the base model elsewhere.
#[async_trait::async_trait(?Send)]
pub trait Student {
    /// sha256 of the base model's file, hex: versions are bound to it.
    fn base_hash(&self) -> String;

    /// Puts an adapter in place; `None` is the base model itself. Conversations and texts outside its scope are
    /// answered and scored by the base model. Ends a training run.
    async fn use_adapter(&mut self, adapter: Option<&Adapter>, scope: Scope) -> StudentResult<()>;

    /// The assistant's free-running answer to each conversation.
    async fn replies(
        &mut self,
        conversations: &[(Vec<Message>, AnswerOptions)],
    ) -> StudentResult<Vec<Reply>>;

    /// The texts of the assistant's free-running answers.
    async fn answers(
        &mut self,
        conversations: &[(Vec<Message>, AnswerOptions)],
    ) -> StudentResult<Vec<String>> {
        let replies = self.replies(conversations).await?;
        Ok(replies.into_iter().map(|reply| reply.text).collect())
    }

    /// The assistant's free-running answer to one conversation.
    async fn answer(
        &mut self,
        messages: &[Message],
        options: &AnswerOptions,
    ) -> StudentResult<String> {
        let all = self.answers(&[(messages.to_vec(), options.clone())]).await?;
        Ok(all.into_iter().next().unwrap_or_default())
    }

    /// Continues each plain text (no template) until a newline-newline, an end token or its `tokens_max`.
    async fn continuations(
        &mut self,
        texts: &[(String, AnswerOptions)],
    ) -> StudentResult<Vec<String>>;

    /// For each word (in lower case) the words that can stand in its place, the nearest first, with the cosines of
    /// their embeddings.
    async fn near_words(&mut self, words: &[String]) -> StudentResult<Vec<Vec<(String, f32)>>>;

    /// Log-likelihoods of each question's choices as the assistant's answer, question by question.
    async fn score_choices(
        &mut self,
        questions: &[Question],
    ) -> StudentResult<Vec<Vec<Likelihood>>>;

    /// Log-likelihood of each passage's counted part.
    async fn score_passages(&mut self, passages: &[Passage]) -> StudentResult<Vec<Likelihood>>;

    /// Starts a run from `start` (or a fresh adapter whose B is zero) and puts it in place.
    async fn begin_training(
        &mut self,
        start: Option<&Adapter>,
        plan: &TrainPlan,
    ) -> StudentResult<()>;

    /// What the model's answers to the passages' prompts need of the adapter `start` (none: the fresh one of a run of `plan`):
    /// measured on answers that it draws there, from the seed of `plan`. Ends a training run and leaves that adapter in place.
    async fn importance(
        &mut self,
        start: Option<&Adapter>,
        plan: &TrainPlan,
        form: Form,
        passages: &[Passage],
    ) -> StudentResult<Importance>;

    /// One optimizer step on a batch. `answer` and the scores see its effect at once.
    async fn train_step(&mut self, batch: &[TrainItem]) -> StudentResult<StepReport>;

    /// The run's numbers, read back. The run goes on untouched.
    async fn snapshot(&mut self) -> StudentResult<Snapshot>;

    /// Makes the run that has just begun what it was after `steps` steps, when it left this snapshot.
    async fn restore(&mut self, snapshot: &Snapshot, steps: usize) -> StudentResult<()>;

    /// Adapters as one whose update is the weighted sum of theirs; sums of the same adapters have one shape.
    fn side_by_side(&self, parts: &[(Adapter, f32)]) -> StudentResult<Adapter>;

    /// The adapter in place, read back (`None` while it is the base model itself).
    async fn adapter(&mut self) -> StudentResult<Option<Adapter>>;
}
