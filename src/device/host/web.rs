//! A browser's worker: one thread, and an event loop that must get its turn so that `stop()` can arrive.

use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &js_sys::Function, milliseconds: i32) -> JsValue;
}

/// Threads that CPU twins may use: stable Rust has none on this target.
pub fn threads() -> usize {
    1
}

/// Lets the event loop run what waits, messages included.
pub async fn yield_to_host() {
    let promise = js_sys::Promise::new(&mut |resolve, _| {
        set_timeout(&resolve, 0);
    });
    // The promise is resolved by the timer and never rejected.
    wasm_bindgen_futures::JsFuture::from(promise).await.ok();
}
