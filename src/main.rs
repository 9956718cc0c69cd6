//! The `apprentice` command; everything is in `apprentice::cli`.

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    apprentice::cli::main()
}

#[cfg(target_arch = "wasm32")]
fn main() {}
