//! The `apprentice` command. Everything is in `apprentice::cli`, so that the library's tests reach it; on wasm32
//! there is no command, only the library.

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    apprentice::cli::main()
}

#[cfg(target_arch = "wasm32")]
fn main() {}
