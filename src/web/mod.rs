//! The face in a browser: the class `Engine` that the page's worker owns
//! (`www/src/engine/contract.ts`).
//!
//! It knows JavaScript values and promises, and leaves every decision to the layers below.
//! Invariant: no borrow is held while a promise is waited for, so that `stop` and `info` may come
//! at any time.

mod answer;
mod attentive;
mod desk;
mod engine;
mod exchange;
mod loan;
mod replies;
mod requests;
mod source;
mod state;
mod value;

pub use engine::Engine;
pub use source::JsSource;
