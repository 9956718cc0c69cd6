//! The class `Engine` of `engine/apprentice.js`: arguments in, one call at a time, replies and
//! errors out.
//!
//! It knows shapes and who may run when; what is done is in `state`. Invariant: every failure
//! reaches the page as an `Error` with one line, and a call that fails leaves the engine ready for
//! the next.

use super::answer::Asked;
use super::desk::Desk;
use super::exchange;
use super::loan::{Loan, Place};
use super::replies::{Head, Progress, examples, info, versions};
use super::requests::{ChatRequest, EvaluateRequest, LearnRequest, Lesson, LoadRequest};
use super::source::{JsSource, WebSource};
use super::state::State;
use super::value::{read, tell, write};
use crate::error::Error;
use crate::format::message::Message;
use crate::learn::report::Event;
use crate::learn::suite::Suites;
use crate::model::generate::Cancel;
use crate::store::web::{JsStore, WebStore};
use js_sys::{Function, Uint8Array};
use std::cell::Cell;
use wasm_bindgen::prelude::*;

/// A model that answers and learns.
#[wasm_bindgen]
pub struct Engine {
    state: Place<State>,
    /// Ends the cycle that runs, or other long work.
    cancel: Cancel,
    /// Ends the answer that runs.
    hush: Cancel,
    /// Takes questions while long work has the state.
    desk: Desk,
    /// The seed of the next answer that the page gives none: another each time.
    seed: Cell<u64>,
}

#[wasm_bindgen]
impl Engine {
    /// Loads a model from the page's file and opens the page's store. `options`: `{device, seed?, template_args?}`.
    pub async fn load(
        source: JsSource,
        store: JsStore,
        options: JsValue,
        on_progress: Function,
    ) -> Result<Engine, JsError> {
        console_error_panic_hook::set_once();
        let request: LoadRequest = read("options", options)?;
        let mut told = |phase, done, total| {
            tell(&on_progress, &Progress { phase, done, total });
        };
        let mut source = WebSource(source);
        let (store, seed) = (WebStore::new(store), request.seed);
        let mut state = State::load(&mut source, store, request.device()?, seed, &mut told).await?;
        for (name, value) in &request.template_args {
            state.engine.model.template.set_argument(name, value).map_err(Error::from)?;
        }
        let cancel = state.engine.cancel.clone();
        let (hush, desk) = (Cancel::default(), Desk::default());
        Ok(Engine { state: Place::new(state), cancel, hush, desk, seed: Cell::new(seed) })
    }

    /// What runs, and where: `Info`.
    pub fn info(&self) -> Result<JsValue, JsError> {
        write(&info(&*self.state()?))
    }

    /// Answers a conversation; `on_token` gets the text piece by piece. Gives a `ChatResult`. While a cycle runs, HEAD answers
    /// between two of its steps.
    pub async fn chat(
        &self,
        messages: JsValue,
        options: JsValue,
        on_token: Function,
    ) -> Result<JsValue, JsError> {
        let messages: Vec<Message> = read("messages", messages)?;
        let request: ChatRequest = read("options", options)?;
        let sampling = request.sampling(self.seed.replace(self.seed.get().wrapping_add(1)))?;
        self.hush.lower();
        let mut asked = Asked {
            messages,
            goes_on: request.goes_on,
            tokens_max: request.tokens_max(),
            form: request.form()?,
            version: request.version,
            sampling,
            cancel: self.hush.clone(),
            on_text: Box::new(move |text| tell(&on_token, text)),
        };
        if let Some(mut state) = self.state.take() {
            return write(&state.chat(&mut asked).await?);
        }
        let answer = self.desk.put(asked).ok_or_else(busy)?;
        write(&answer.await.map_err(|_| busy())??)
    }

    /// Keeps lessons for the next cycle: all of them or none. Gives a `TeachResult`.
    pub async fn teach(&self, lessons: JsValue) -> Result<JsValue, JsError> {
        let lessons: Vec<Lesson> = read("lessons", lessons)?;
        let mut new = Vec::new();
        for lesson in lessons {
            new.extend(lesson.examples()?);
        }
        write(&self.state()?.learner.teach(new).await?)
    }

    /// Runs a learning cycle; `on_event` gets `LearnEvent`s. Gives a `CycleReport`.
    pub async fn learn(&self, options: JsValue, on_event: Function) -> Result<JsValue, JsError> {
        let request: LearnRequest = read("options", options)?;
        let mut state = self.start()?;
        let options = request.options(state.engine.model.device.is_cpu())?;
        let mut told = hearing(&on_event);
        self.desk.set_open(true);
        let learned = state.learn(&options, &self.desk, &mut told).await;
        self.close_desk(&mut state).await;
        write(&learned?)
    }

    /// Examines an imported version beside HEAD as `learn` does a candidate, and takes it in if it passes. Gives a
    /// `CycleReport`.
    pub async fn adopt(
        &self,
        version: String,
        options: JsValue,
        on_event: Function,
    ) -> Result<JsValue, JsError> {
        let request: LearnRequest = read("options", options)?;
        let mut state = self.start()?;
        let options = request.options(state.engine.model.device.is_cpu())?;
        let mut told = hearing(&on_event);
        self.desk.set_open(true);
        let adopted = state.adopt(&version, &options, &self.desk, &mut told).await;
        self.close_desk(&mut state).await;
        write(&adopted?)
    }

    /// Scores a version on the suites; `on_event` gets `LearnEvent`s of type `suite`. Gives an `Evaluation`.
    pub async fn evaluate(&self, options: JsValue, on_event: Function) -> Result<JsValue, JsError> {
        let request: EvaluateRequest = read("options", options)?;
        let mut state = self.start()?;
        let mut told = hearing(&on_event);
        self.desk.set_open(true);
        let scored = state.evaluate(&request, &self.desk, &mut told).await;
        self.close_desk(&mut state).await;
        write(&scored?)
    }

    /// Forgets an example: what had learned from it is rebuilt without it. Gives a `ForgetReport`.
    pub async fn forget(&self, id: String, on_event: Function) -> Result<JsValue, JsError> {
        let mut state = self.start()?;
        let mut told = hearing(&on_event);
        self.desk.set_open(true);
        let forgot = state.forget(&id, &self.desk, &mut told).await;
        self.close_desk(&mut state).await;
        write(&forgot?)
    }

    /// The versions, the newest first: `Version[]`.
    pub async fn log(&self) -> Result<JsValue, JsError> {
        write(&versions(&*self.state()?))
    }

    /// Puts HEAD back to a version, to `"base"`, or (without one) to its parent. Gives `{head}`.
    pub async fn rollback(&self, version: Option<String>) -> Result<JsValue, JsError> {
        let head = self.state()?.rollback(version.as_deref()).await?;
        write(&Head { head })
    }

    /// Gives a version a name that stays; a name that exists is not moved.
    pub async fn tag(&self, name: String, version: String) -> Result<(), JsError> {
        let mut state = self.state()?;
        Ok(state.learner.tag(&name, Some(&version), false).await.map_err(Error::from)?)
    }

    /// Takes a name away; its version stays.
    pub async fn untag(&self, name: String) -> Result<(), JsError> {
        let mut state = self.state()?;
        Ok(state.learner.remove_name(&name).await.map_err(Error::from)?)
    }

    /// The stored examples, the oldest first: `Example[]`.
    pub async fn examples(&self) -> Result<JsValue, JsError> {
        write(&examples(&*self.state()?))
    }

    /// Forgets an example and every version that saw it.
    pub async fn delete_example(&self, id: String) -> Result<(), JsError> {
        Ok(self.state()?.delete_example(&id).await?)
    }

    /// Takes an example back into training that was set aside.
    pub async fn release_example(&self, id: String) -> Result<(), JsError> {
        let mut state = self.state()?;
        Ok(state.learner.release(&id).await.map_err(Error::from)?)
    }

    /// What happened, the oldest first: `JournalEntry[]`.
    pub fn journal(&self) -> Result<JsValue, JsError> {
        write(self.state()?.learner.log())
    }

    /// A version's adapter as the bytes of a file: `"gguf"` for llama.cpp, `"adapter"` for `import_version`.
    pub async fn export_version(&self, version: String, form: String) -> Result<Vec<u8>, JsError> {
        Ok(exchange::export(&*self.state()?, &version, &form).await?)
    }

    /// Puts an adapter (either form) into the history; HEAD stays. Gives the new version's id.
    pub async fn import_version(&self, bytes: Vec<u8>, note: String) -> Result<String, JsError> {
        Ok(exchange::import(&mut *self.state()?, bytes, note).await?)
    }

    /// A version's adapter as PEFT's two files: `[adapter_config.json, adapter_model.safetensors]`.
    pub async fn export_peft(&self, version: String) -> Result<Vec<Uint8Array>, JsError> {
        let (config, weights) = exchange::export_peft(&*self.state()?, &version).await?;
        Ok([config, weights].iter().map(|file| Uint8Array::from(file.as_slice())).collect())
    }

    /// Puts the adapter of PEFT's two files into the history; HEAD stays. Gives the new version's id.
    pub async fn import_peft(
        &self,
        config: Vec<u8>,
        weights: Vec<u8>,
        note: String,
    ) -> Result<String, JsError> {
        Ok(exchange::import_peft(&mut *self.state()?, &config, &weights, note).await?)
    }

    /// Takes other suites than the built-in ones, each as JSON lines.
    pub fn set_suites(&self, core: &str, language: &str, refusals: &str) -> Result<(), JsError> {
        let suites = Suites::parse(core, language, refusals)?;
        self.state()?.replace(|state| state.with_suites(suites));
        Ok(())
    }

    /// Stops the answer that runs (`"chat"`), or what runs long besides (`"learn"`): a cycle, an evaluation, forgetting.
    pub fn stop(&self, what: &str) {
        if what == "chat" { self.hush.raise() } else { self.cancel.raise() }
    }
}

impl Engine {
    /// The state, for one call.
    fn state(&self) -> Result<Loan<'_, State>, Error> {
        self.state.take().ok_or_else(busy)
    }

    /// The state, for a call that `stop` may end: an earlier `stop` does not count.
    fn start(&self) -> Result<Loan<'_, State>, Error> {
        let state = self.state()?;
        self.cancel.lower();
        Ok(state)
    }

    /// Takes no more questions, and answers those that came too late for the work that is over.
    async fn close_desk(&self, state: &mut State) {
        self.desk.set_open(false);
        while let Some(mut late) = self.desk.next() {
            let told = state.chat(&mut late.asked).await;
            // Whoever asked may be gone.
            late.reply.send(told).ok();
        }
    }
}

/// Tells the page what happens. Warnings stay in `info`, and the verdict is the reply.
fn hearing(on_event: &Function) -> impl FnMut(Event) {
    move |event| {
        if !matches!(event, Event::Warning { .. } | Event::Verdict { .. }) {
            tell(on_event, &event);
        }
    }
}

fn busy() -> Error {
    Error::Misuse("the engine is busy with another call".into())
}
