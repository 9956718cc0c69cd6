//! The adapter in its place or aside: the base model answers what lies outside the adapter's scope.
//!
//! It decides nothing: the scope does. Invariant: an adapter that stands aside keeps its numbers on the device, so that
//! turning from one to the other copies nothing.

use super::Engine;
use crate::format::message::Message;

impl Engine {
    /// Whether a conversation's question is near what the adapter was taught.
    pub fn covers(&self, messages: &[Message]) -> bool {
        self.scope.covers(messages)
    }

    /// Puts the adapter where a conversation needs it: in place if its question is near what was taught, else aside.
    pub fn aim(&mut self, messages: &[Message]) {
        self.place(self.scope.covers(messages));
    }

    /// The same for a plain text that is to be gone on with: in place if it is of a kind that was taught.
    pub fn aim_text(&mut self, text: &str) {
        self.place(self.scope.covers_text(text));
    }

    /// Puts the adapter, if there is one, in place or aside.
    pub(super) fn place(&mut self, near: bool) {
        if near && self.aside.is_some() {
            let adapter = self.aside.take();
            self.model.replace_lora(adapter);
        } else if !near && self.model.lora().is_some() {
            self.aside = self.model.replace_lora(None);
        }
    }
}
