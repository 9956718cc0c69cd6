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

/// Makes the calling thread one of the pool's, if the process has no pool yet.
///
/// Work that a thread of the pool starts costs it no sleeping and waking, which is most of what a small product takes;
/// so the thread that runs a CPU device should be one. It is the program's to decide, not the library's.
pub fn join_pool() {
    // Where there is a pool already, it works as it is.
    rayon::ThreadPoolBuilder::new().use_current_thread().build_global().ok();
}

/// Lets the host run what waits; natively nothing does.
pub async fn yield_to_host() {}

/// Natively wgpu asks for subgroups itself.
pub fn page_asked_for_subgroups() -> bool {
    false
}
