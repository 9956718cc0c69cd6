//! A native host: threads through rayon, and nobody to yield to (signals arrive by themselves).

use std::sync::OnceLock;
use std::time::Instant;

/// Threads that CPU twins may use.
pub fn threads() -> usize {
    rayon::current_num_threads()
}

/// Milliseconds since some moment of this process.
pub fn now_ms() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64() * 1e3
}

/// Lets the host run what waits; natively nothing does.
pub async fn yield_to_host() {}
