//! A native host: threads through rayon, and nobody to yield to (signals arrive by themselves).

/// Threads that CPU twins may use.
pub fn threads() -> usize {
    rayon::current_num_threads()
}

/// Lets the host run what waits; natively nothing does.
pub async fn yield_to_host() {}
