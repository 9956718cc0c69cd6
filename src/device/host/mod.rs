//! What differs between a native host and a browser tab, as two sibling files with one signature.

#[cfg(not(target_arch = "wasm32"))]
mod native;
#[cfg(target_arch = "wasm32")]
mod web;

#[cfg(not(target_arch = "wasm32"))]
pub(super) use native::page_asked_for_subgroups;
#[cfg(not(target_arch = "wasm32"))]
pub use native::{join_pool, now_ms, threads, yield_to_host};
#[cfg(target_arch = "wasm32")]
pub(super) use web::page_asked_for_subgroups;
#[cfg(target_arch = "wasm32")]
pub use web::{now_ms, threads, yield_to_host};
