//! The engine and the learner behind the page: what a call works with while it runs.
//!
//! It knows no JavaScript values. Invariant: the adapter in place is HEAD's, or none where HEAD
//! belongs to another base model, which is then told in a warning.

use super::answer::{Answer, Asked, answer};
use super::attentive::Attentive;
use super::desk::Desk;
use super::requests::EvaluateRequest;
use crate::device::{Device, DeviceChoice};
use crate::error::Error;
use crate::format::source::Source;
use crate::learn::engine::Engine;
use crate::learn::exam::EvalReport;
use crate::learn::forget::ForgetReport;
use crate::learn::gate::SuiteKind;
use crate::learn::learner::Learner;
use crate::learn::report::{CycleReport, Event, LearnOptions};
use crate::learn::student::Student as _;
use crate::learn::suite::Suites;
use crate::learn::version::Version;
use crate::model::Model;
use crate::model::weights::OnProgress;
use crate::store::web::WebStore;
use crate::store::{Store as _, Table, Write};
use std::collections::BTreeMap;

/// Everything that a call may need.
pub struct State {
    /// The model, its device and its trainer.
    pub engine: Engine,
    /// Examples and versions.
    pub learner: Learner<WebStore>,
    /// The model's name as people know it: its file's, without the ending.
    pub name: String,
    /// Why this device was taken.
    pub reason: String,
    /// What a person should know since the page was loaded.
    pub warnings: Vec<String>,
}

/// Milliseconds since 1970.
pub fn now_ms() -> f64 {
    js_sys::Date::now()
}

/// Tunes the model to its device, by the store's record if there is one. A record that cannot be read or kept costs a
/// measurement, no more.
async fn tune(model: &mut Model, store: &WebStore) -> Result<(), Error> {
    // The learning loop's keys in this table begin with other words.
    let key = format!("tuning/{}", model.tuning_name(false));
    let record = store.get(Table::Cache, &key).await.unwrap_or_default();
    if let Some(made) = model.tune(record.as_deref(), false).await? {
        store.apply(&[Write::put(Table::Cache, key, made)]).await.ok();
    }
    Ok(())
}

impl State {
    /// Opens a device, loads the model onto it, and puts HEAD in place.
    pub async fn load(
        source: &mut dyn Source,
        store: WebStore,
        choice: DeviceChoice,
        seed: u64,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<State, Error> {
        let device = Device::open(choice).await?;
        let reason = reason(choice, &device);
        let mut model = Model::load(&device, source, on_progress).await?;
        tune(&mut model, &store).await?;
        let learner = Learner::open(store, Box::new(|| now_ms() as u64), seed).await?;
        let warnings = learner.warnings().to_vec();
        let name = source.name().trim_end_matches(".gguf").to_string();
        let mut state = State { engine: Engine::new(model), learner, name, reason, warnings };
        state.serve_head().await?;
        Ok(state)
    }

    /// The version that answers; none is the base model.
    pub fn head(&self) -> Option<&Version> {
        self.learner.head().filter(|head| head.base_hash == self.engine.model.base_hash)
    }

    /// Puts HEAD's adapter in place.
    pub async fn serve_head(&mut self) -> Result<(), Error> {
        if let (None, Some(head)) = (self.head(), self.learner.head()) {
            let text = "belongs to another base model; the base model answers";
            self.warnings.push(format!("version {} {text}", head.id));
        }
        self.put_head().await
    }

    /// The same without a word: HEAD's adapter in place, or none where it is another model's.
    async fn put_head(&mut self) -> Result<(), Error> {
        let head = self.learner.head().filter(|head| head.base_hash == self.engine.model.base_hash);
        Ok(self.learner.serve(&mut self.engine, head).await?)
    }

    /// Answers a conversation.
    pub async fn chat(&mut self, asked: &mut Asked) -> Result<Answer, Error> {
        let Some(name) = asked.version.as_deref() else {
            self.engine.aim(&asked.messages);
            return answer(&mut self.engine, asked).await;
        };
        let id = self.learner.resolve(name)?;
        let version = self.learner.versions().into_iter().find(|v| Some(&v.id) == id.as_ref());
        self.learner.serve(&mut self.engine, version).await?;
        self.engine.aim(&asked.messages);
        let answered = answer(&mut self.engine, asked).await;
        self.put_head().await?;
        answered
    }

    /// Runs a cycle; `on_event` hears what happens, and who comes to the desk meanwhile is answered by HEAD.
    pub async fn learn(
        &mut self,
        options: &LearnOptions,
        desk: &Desk,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<CycleReport, Error> {
        let Self { engine, learner, warnings, .. } = self;
        let mut student = attentive(engine, learner, desk).await?;
        Ok(learner.learn(&mut student, options, &mut noting(warnings, on_event)).await?)
    }

    /// Examines an imported version beside HEAD, likewise.
    pub async fn adopt(
        &mut self,
        version: &str,
        options: &LearnOptions,
        desk: &Desk,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<CycleReport, Error> {
        let Self { engine, learner, warnings, .. } = self;
        let mut student = attentive(engine, learner, desk).await?;
        let mut events = noting(warnings, on_event);
        Ok(learner.adopt(&mut student, version, options, &mut events).await?)
    }

    /// Scores a version, likewise.
    pub async fn evaluate(
        &mut self,
        request: &EvaluateRequest,
        desk: &Desk,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<BTreeMap<SuiteKind, EvalReport>, Error> {
        let Self { engine, learner, warnings, .. } = self;
        let quick = engine.model.device.is_cpu().then(|| LearnOptions::quick().sample).flatten();
        let sample = request.sample.or(quick);
        let mut student = attentive(engine, learner, desk).await?;
        let (suite, version) = (request.suite.as_deref(), request.version.as_deref());
        let mut events = noting(warnings, on_event);
        Ok(learner.eval(&mut student, suite, version, sample, &mut events).await?)
    }

    /// Forgets an example as if it had never been taught, likewise.
    pub async fn forget(
        &mut self,
        id: &str,
        desk: &Desk,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<ForgetReport, Error> {
        let Self { engine, learner, warnings, .. } = self;
        let mut student = attentive(engine, learner, desk).await?;
        Ok(learner.forget(&mut student, id, &mut noting(warnings, on_event)).await?)
    }

    /// Puts HEAD back; see `Learner::rollback`.
    pub async fn rollback(&mut self, version: Option<&str>) -> Result<Option<String>, Error> {
        Ok(self.learner.rollback(&mut self.engine, version).await?)
    }

    /// Forgets an example, and with it the versions that saw it.
    pub async fn delete_example(&mut self, id: &str) -> Result<(), Error> {
        if self.learner.delete_example(id).await?.head_moved {
            self.serve_head().await?;
        }
        Ok(())
    }

    /// Takes other suites for the gate.
    pub fn with_suites(self, suites: Suites) -> State {
        State { learner: self.learner.with_suites(suites), ..self }
    }
}

/// The engine for long work: at the desk HEAD answers meanwhile.
async fn attentive<'a>(
    engine: &'a mut Engine,
    learner: &Learner<WebStore>,
    desk: &'a Desk,
) -> Result<Attentive<'a>, Error> {
    let mut student = Attentive::new(engine, desk);
    let base_hash = student.base_hash();
    let head = learner.head().filter(|head| head.base_hash == base_hash);
    learner.serve(&mut student, head).await?;
    Ok(student)
}

/// Writes warnings down on their way.
fn noting<'a>(
    warnings: &'a mut Vec<String>,
    on_event: &'a mut dyn FnMut(Event),
) -> impl FnMut(Event) + 'a {
    move |event| {
        if let Event::Warning { message } = &event {
            warnings.push(message.clone());
        }
        on_event(event);
    }
}

fn reason(choice: DeviceChoice, device: &Device) -> String {
    let text = match (choice, device.is_cpu()) {
        (DeviceChoice::Auto, true) => "this browser offers no hardware GPU",
        (DeviceChoice::Auto, false) => "this browser offers a hardware GPU",
        (DeviceChoice::Cpu | DeviceChoice::Gpu, _) => "it was asked for",
    };
    text.into()
}
