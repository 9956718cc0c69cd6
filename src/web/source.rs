//! The model's bytes as the page reads them, from OPFS or a picked file.
//!
//! It knows nothing of models. Invariant: reading is synchronous on the page's side (a worker may
//! do that), so a tensor's bytes are in the wasm heap for as long as one chunk needs.

use super::value::thrown;
use crate::format::error::FormatError;
use crate::format::source::Source;
use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// What the page provides: a name, a length, and `read`.
    pub type JsSource;

    /// The file's name, for messages.
    #[wasm_bindgen(method, getter)]
    fn name(this: &JsSource) -> String;

    /// The file's length in bytes; a double, since files outgrow 32 bits.
    #[wasm_bindgen(method, getter)]
    fn length(this: &JsSource) -> f64;

    /// `read(offset, length): Uint8Array`.
    #[wasm_bindgen(method, catch)]
    fn read(this: &JsSource, offset: f64, length: f64) -> Result<Uint8Array, JsValue>;
}

/// A file of the page.
pub struct WebSource(pub JsSource);

#[async_trait::async_trait(?Send)]
impl Source for WebSource {
    fn len(&self) -> u64 {
        self.0.length() as u64
    }

    fn name(&self) -> String {
        self.0.name()
    }

    async fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), FormatError> {
        let failed = |reason: String| FormatError::Read {
            name: self.0.name(),
            offset,
            bytes: buf.len() as u64,
            reason,
        };
        let part = self.0.read(offset as f64, buf.len() as f64).map_err(|e| failed(thrown(&e)))?;
        if part.length() as usize != buf.len() {
            return Err(failed(format!("the page gave {} bytes", part.length())));
        }
        part.copy_to(buf);
        Ok(())
    }
}
