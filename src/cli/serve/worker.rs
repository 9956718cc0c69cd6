//! The one who answers: the engine, with the home watched beside it, taking one question after another.
//!
//! It knows no HTTP. The home is looked at before each answer and never held, so that `apprentice learn` can run in another
//! terminal meanwhile: what it promotes answers from the next question on. Invariants: an answer is the named version's, in
//! its scope; a question whose asker went away costs at most a token more.

use super::answers::{Answered, Answers};
use super::models;
use super::outlet::Outlet;
use super::refusal::Refusal;
use super::request::ChatRequest;
use super::speech::Ending;
use crate::cli::context;
use crate::error::Error;
use crate::learn::engine::Engine;
use crate::learn::learner::{LearnError, Learner};
use crate::learn::names::BASE;
use crate::model::generate::{Cancel, Generation, Progress, StopReason};
use crate::model::sampler::Sampling;
use crate::store::look::{Copy, Watch};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::{Receiver, UnboundedSender};

/// A question that waits for its answer.
pub struct Job {
    /// The answer's id.
    pub id: String,
    /// What is asked.
    pub request: ChatRequest,
    /// Where the answer goes; closed when the asker goes away.
    pub said: UnboundedSender<Said>,
}

/// What an asker hears, in this order: a beginning, texts, an ending; or a refusal at any time.
pub enum Said {
    /// The answer begins.
    Begun {
        /// Who answers: a version, or `base`.
        model: String,
        /// What the answer depends on beside the request.
        fingerprint: String,
    },
    /// More of it.
    Text(String),
    /// The end.
    Ended(Ending),
    /// There is no answer, or not the rest of it.
    Refused(Refusal),
}

/// See the module.
pub struct Worker {
    engine: Engine,
    watch: Watch,
    learner: Learner<Copy>,
    /// The version in place (none is the base model), once one was put there.
    in_place: Option<Option<String>>,
    answers: Arc<Mutex<Answers>>,
    /// The seed of the next answer whose request has none.
    seed: u64,
}

impl Worker {
    /// A worker over a loaded model and a home.
    pub async fn new(
        engine: Engine,
        mut watch: Watch,
        answers: Arc<Mutex<Answers>>,
        seed: u64,
    ) -> Result<Worker, Error> {
        let learner = Learner::open(watch.copy()?, context::clock(), seed).await?;
        for warning in learner.warnings() {
            eprintln!("warning: {warning}");
        }
        Ok(Worker { engine, watch, learner, in_place: None, answers, seed })
    }

    /// Answers what comes until nobody can ask any more.
    pub async fn run(&mut self, mut jobs: Receiver<Job>) {
        while let Some(job) = jobs.recv().await {
            // Whoever left while waiting is not answered.
            if job.said.is_closed() {
                continue;
            }
            if let Err(refusal) = self.answer(&job).await {
                job.said.send(Said::Refused(refusal)).ok();
            }
        }
    }

    async fn answer(&mut self, job: &Job) -> Result<(), Refusal> {
        let request = &job.request;
        let version = self.put(&request.model).await?;
        self.engine.aim(&request.messages);
        let prompt = self.engine.prompt(&request.messages)?;
        let most = request.tokens_max.unwrap_or(self.engine.model.context());
        let seed = if request.is_seeded { request.sampling.seed } else { self.next_seed() };
        let sampling = Sampling { seed, ..request.sampling.clone() };
        let mut outlet = Outlet::new(request.stops.clone());
        let fingerprint = self.fingerprint(version.as_deref());
        let model = version.unwrap_or(BASE.into());
        let mut on_progress = |progress: Progress<'_>| match progress {
            Progress::Prefilled => {
                let (model, fingerprint) = (model.clone(), fingerprint.clone());
                job.said.send(Said::Begun { model, fingerprint }).is_ok()
            }
            Progress::Text(more) => {
                let leaving = outlet.push(more);
                if !leaving.is_empty() {
                    job.said.send(Said::Text(leaving)).ok();
                }
                !job.said.is_closed() && !outlet.stopped()
            }
        };
        let model = &mut self.engine.model;
        let cancel = Cancel::default();
        let form = request.form.as_ref();
        let within = form.map(|form| model.constraint(form)).transpose()?;
        let to = &mut on_progress;
        let generation =
            model.generate_within(&prompt, most, &sampling, within, &cancel, to).await?;
        let rest = outlet.finish();
        if !rest.is_empty() {
            job.said.send(Said::Text(rest)).ok();
        }
        let answered = Answered {
            id: job.id.clone(),
            messages: request.messages.clone(),
            text: outlet.text().into(),
        };
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).keep(answered);
        job.said.send(Said::Ended(ending(&generation, outlet.stopped()))).ok();
        Ok(())
    }

    /// Puts in place what a name means; gives the version, none is the base model.
    async fn put(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        self.look().await?;
        let wanted = models::meaning(&self.learner, name)?;
        if self.in_place.as_ref() == Some(&wanted) {
            return Ok(wanted);
        }
        let versions = self.learner.versions();
        let version = versions.into_iter().find(|version| Some(&version.id) == wanted.as_ref());
        if let Some(version) = version
            && version.base_hash != self.engine.model.base_hash
        {
            return Err(LearnError::OtherBase { version: version.id.clone() }.into());
        }
        // What fails half-way leaves nobody in place.
        self.in_place = None;
        self.learner.serve(&mut self.engine, version).await?;
        self.in_place = Some(wanted.clone());
        Ok(wanted)
    }

    /// Looks at the home, if anything in it changed.
    async fn look(&mut self) -> Result<(), Refusal> {
        if !self.watch.has_changed()? {
            return Ok(());
        }
        let copy = self.watch.copy()?;
        let before = self.learner.head().map(|head| head.id.clone());
        self.learner = Learner::open(copy, context::clock(), self.seed).await?;
        // A version's scope follows from the examples, so it is put in place anew.
        self.in_place = None;
        let head = self.learner.head().map(|head| head.id.clone());
        if head != before {
            eprintln!("HEAD is {}", head.as_deref().unwrap_or("the base model"));
        }
        Ok(())
    }

    fn next_seed(&mut self) -> u64 {
        let seed = self.seed;
        self.seed = seed.wrapping_add(1);
        seed
    }

    /// The beginnings of the base model's hash and of its adapter's.
    fn fingerprint(&self, version: Option<&str>) -> String {
        const DIGITS: usize = 10;
        let versions = self.learner.versions();
        let version = versions.into_iter().find(|other| Some(other.id.as_str()) == version);
        let start = |hash: &str| hash.chars().take(DIGITS).collect::<String>();
        let adapter = version.map_or(BASE.into(), |version| start(&version.adapter));
        format!("{}-{adapter}", start(&self.engine.model.base_hash))
    }
}

fn ending(generation: &Generation, stopped: bool) -> Ending {
    let reason = match generation.stop_reason {
        StopReason::Length if !stopped => "length",
        _ => "stop",
    };
    Ending {
        reason,
        prompt_tokens: generation.prompt_tokens,
        cached_tokens: generation.reused_tokens,
        completion_tokens: generation.tokens.len(),
    }
}
