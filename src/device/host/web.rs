//! A browser's worker: one thread, and an event loop that must get its turn so that `stop()` can
//! arrive.
//!
//! It knows no calls of the page. Invariant: `yield_to_host` returns after the messages that came
//! before it. It posts a message to itself instead of setting a timer, since browsers make timers
//! in a row wait 4 ms each.

use futures_channel::oneshot::{self, Sender};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    type MessageChannel;
    type MessagePort;

    #[wasm_bindgen(js_namespace = performance)]
    fn now() -> f64;

    #[wasm_bindgen(constructor)]
    fn new() -> MessageChannel;

    #[wasm_bindgen(method, getter)]
    fn port1(this: &MessageChannel) -> MessagePort;

    #[wasm_bindgen(method, getter)]
    fn port2(this: &MessageChannel) -> MessagePort;

    #[wasm_bindgen(method, setter)]
    fn set_onmessage(this: &MessagePort, listener: &JsValue);

    #[wasm_bindgen(method, js_name = postMessage)]
    fn post_message(this: &MessagePort, message: &JsValue);
}

/// A channel to oneself, and who waits for its messages: the first message wakes the first.
struct Turn {
    port: MessagePort,
    waiting: Rc<RefCell<VecDeque<Sender<()>>>>,
}

impl Turn {
    fn new() -> Turn {
        let channel = MessageChannel::new();
        let waiting: Rc<RefCell<VecDeque<Sender<()>>>> = Rc::default();
        let woken = Rc::clone(&waiting);
        let wake = Closure::<dyn FnMut()>::new(move || {
            let first = woken.borrow_mut().pop_front();
            // Whoever gave up waiting needs no turn.
            first.map(|sender| sender.send(()).ok());
        });
        channel.port1().set_onmessage(&wake.into_js_value());
        Turn { port: channel.port2(), waiting }
    }
}

thread_local! {
    static TURN: Turn = Turn::new();
}

/// Threads that CPU twins may use: stable Rust has none on this target.
pub fn threads() -> usize {
    1
}

/// Milliseconds since some moment of this worker.
pub fn now_ms() -> f64 {
    now()
}

/// Lets the event loop run what waits, messages included.
pub async fn yield_to_host() {
    let (sender, receiver) = oneshot::channel();
    TURN.with(|turn| {
        turn.waiting.borrow_mut().push_back(sender);
        turn.port.post_message(&JsValue::NULL);
    });
    // The sender lives in the queue until its message comes.
    receiver.await.ok();
}

/// Did the worker's wrapper of `requestDevice` (`www/src/worker/subgroups.ts`) add subgroups to the last device?
pub fn page_asked_for_subgroups() -> bool {
    let word = js_sys::Reflect::get(&js_sys::global(), &"apprenticeHasSubgroups".into());
    word.is_ok_and(|word| word.is_truthy())
}
