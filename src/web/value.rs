//! Between Rust and JavaScript values: plain objects, never `Map`s, and errors that say what was
//! wrong with what.
//!
//! It knows no fields. Invariant: what is written looks as `JSON.parse` would have made it.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_wasm_bindgen::Serializer;
use wasm_bindgen::prelude::*;

/// Reads an argument; `what` names it in the error.
pub fn read<T: DeserializeOwned>(what: &str, value: JsValue) -> Result<T, JsError> {
    serde_wasm_bindgen::from_value(value).map_err(|e| JsError::new(&format!("{what}: {e}")))
}

/// Writes a reply.
pub fn write<T: Serialize + ?Sized>(value: &T) -> Result<JsValue, JsError> {
    Ok(value.serialize(&Serializer::json_compatible())?)
}

/// Calls the page with one value; whether it took it.
pub fn tell<T: Serialize + ?Sized>(listener: &js_sys::Function, value: &T) -> bool {
    write(value).is_ok_and(|value| listener.call1(&JsValue::NULL, &value).is_ok())
}

/// The message of something that JavaScript threw.
pub fn thrown(error: &JsValue) -> String {
    let message = error.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
    message.unwrap_or_else(|| format!("{error:?}"))
}
