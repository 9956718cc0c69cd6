//! Building the npm package: the page's engine with a face for programs, and types from the sources.
//!
//! It knows nothing of what the package does: `www/package/build.mjs` puts it together. Invariant: the tarball holds this
//! working tree's sources, and its version is the workspace's.

use std::path::PathBuf;

use crate::page::{self, NODE_HINT};
use crate::shell::{Outcome, program, root};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Builds the engine and the package around it, and returns the tarball's path.
pub fn build() -> Outcome<PathBuf> {
    page::build_engine()?;
    pack()
}

/// Puts the package together around the engine that was built last: `target/package`, and the tarball beside it.
pub fn pack() -> Outcome<PathBuf> {
    let www = page::www()?;
    program("node", &["package/build.mjs", VERSION], NODE_HINT).dir(&www).run_to_stderr()?;
    let target = root().join("target");
    let pack = ["pack", "--loglevel=error", "--pack-destination", ".."];
    let told = program("npm", &pack, NODE_HINT).dir(&target.join("package")).read()?;
    let name = told.lines().last().ok_or("npm pack named no tarball")?;
    Ok(target.join(name))
}
