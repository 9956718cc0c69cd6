//! Where questions wait while a learning cycle has the model, until the cycle lets them in.
//!
//! It knows no model. Invariants: a question is only taken while the desk is open, so none waits for a cycle that is
//! over; each gets exactly one answer or one error, and one whose asker is gone is answered into the void.

use super::answer::{Answer, Asked};
use crate::error::Error;
use futures_channel::oneshot;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// What becomes of a question.
type Reply = Result<Answer, Error>;

/// A question that waits.
pub struct Waiting {
    /// The question.
    pub asked: Asked,
    /// Where its answer goes.
    pub reply: oneshot::Sender<Reply>,
}

/// The desk.
#[derive(Default)]
pub struct Desk {
    open: Cell<bool>,
    waiting: RefCell<VecDeque<Waiting>>,
}

impl Desk {
    /// Opens or closes it.
    pub fn set_open(&self, open: bool) {
        self.open.set(open);
    }

    /// Puts a question; none is taken where no cycle would come by.
    pub fn put(&self, asked: Asked) -> Option<oneshot::Receiver<Reply>> {
        if !self.open.get() {
            return None;
        }
        let (reply, receiver) = oneshot::channel();
        self.waiting.borrow_mut().push_back(Waiting { asked, reply });
        Some(receiver)
    }

    /// The question that came first.
    pub fn next(&self) -> Option<Waiting> {
        self.waiting.borrow_mut().pop_front()
    }
}
