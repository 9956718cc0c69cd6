//! Resolves a kernel's `#import` lines into one WGSL text.
//!
//! `#import common/name` takes a shared file; `#import name` takes the file that the dispatch linked to `name`
//! (a variant by linking, so that no kernel body has an `#ifdef`). A shared file may import others. Each file is taken
//! once; an unknown name is an error. A file says in `enable` lines what it needs beyond core WGSL; they are put first,
//! as WGSL wants them. The same bytes are used natively, in the browser and in tests, but for one line: see [`Dialect`].

use super::kernel::PipelineKey;

/// The shared files under `shaders/common/`, by stem.
pub const COMMON: &[(&str, &str)] = &[
    ("bytes", include_str!("../../shaders/common/bytes.wgsl")),
    ("dot_float", include_str!("../../shaders/common/dot_float.wgsl")),
    ("dot_int8", include_str!("../../shaders/common/dot_int8.wgsl")),
    ("four_own", include_str!("../../shaders/common/four_own.wgsl")),
    ("four_quads", include_str!("../../shaders/common/four_quads.wgsl")),
    ("lanes_1", include_str!("../../shaders/common/lanes_1.wgsl")),
    ("lanes_16", include_str!("../../shaders/common/lanes_16.wgsl")),
    ("lora", include_str!("../../shaders/common/lora.wgsl")),
    ("lora_shares", include_str!("../../shaders/common/lora_shares.wgsl")),
    ("matrices_16", include_str!("../../shaders/common/matrices_16.wgsl")),
    ("matrices_8", include_str!("../../shaders/common/matrices_8.wgsl")),
    ("matrix_tiles", include_str!("../../shaders/common/matrix_tiles.wgsl")),
    ("normed", include_str!("../../shaders/common/normed.wgsl")),
    ("reduce", include_str!("../../shaders/common/reduce.wgsl")),
    ("reduce4", include_str!("../../shaders/common/reduce4.wgsl")),
    ("reduce4_subgroups", include_str!("../../shaders/common/reduce4_subgroups.wgsl")),
    ("tile_f16", include_str!("../../shaders/common/tile_f16.wgsl")),
    ("tile_f32", include_str!("../../shaders/common/tile_f32.wgsl")),
    ("weight_bf16", include_str!("../../shaders/common/weight_bf16.wgsl")),
    ("weight_f16", include_str!("../../shaders/common/weight_f16.wgsl")),
    ("weight_f32", include_str!("../../shaders/common/weight_f32.wgsl")),
    ("weight_k_step", include_str!("../../shaders/common/weight_k_step.wgsl")),
    ("weight_q4_0", include_str!("../../shaders/common/weight_q4_0.wgsl")),
    ("weight_q4_1", include_str!("../../shaders/common/weight_q4_1.wgsl")),
    ("weight_q4_k", include_str!("../../shaders/common/weight_q4_k.wgsl")),
    ("weight_q5_0", include_str!("../../shaders/common/weight_q5_0.wgsl")),
    ("weight_q5_1", include_str!("../../shaders/common/weight_q5_1.wgsl")),
    ("weight_q5_k", include_str!("../../shaders/common/weight_q5_k.wgsl")),
    ("weight_q6_k", include_str!("../../shaders/common/weight_q6_k.wgsl")),
    ("weight_q8_0", include_str!("../../shaders/common/weight_q8_0.wgsl")),
];

/// Whose WGSL a text is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// naga's: it knows subgroups without being asked, and refuses `enable subgroups;` (wgpu#8202).
    Naga,
    /// The browser's, which gets the text verbatim: it wants the line.
    Browser,
}

impl Dialect {
    /// The one of this build.
    pub const HERE: Dialect =
        if cfg!(target_arch = "wasm32") { Dialect::Browser } else { Dialect::Naga };
}

/// The text of `wgsl` with its imports put in place, or the name that is unknown.
pub fn resolve(wgsl: &str, key: &PipelineKey, dialect: Dialect) -> Result<String, String> {
    let mut parts = Parts::default();
    parts.append(wgsl, key)?;
    if dialect == Dialect::Naga {
        parts.enables.retain(|line| line != "enable subgroups;");
    }
    let head: String = parts.enables.iter().map(|line| format!("{line}\n")).collect();
    Ok(head + &parts.text)
}

/// What a text is put together from.
#[derive(Default)]
struct Parts {
    /// Lines that come before the others.
    enables: Vec<String>,
    text: String,
    /// Shared files that are in it.
    taken: Vec<&'static str>,
}

impl Parts {
    fn append(&mut self, wgsl: &str, key: &PipelineKey) -> Result<(), String> {
        for line in wgsl.lines() {
            if let Some(name) = line.strip_prefix("#import ") {
                self.import(name.trim(), key)?;
            } else if !line.starts_with("enable ") {
                self.text.push_str(line);
                self.text.push('\n');
            } else if !self.enables.iter().any(|known| known == line) {
                self.enables.push(line.to_string());
            }
        }
        Ok(())
    }

    fn import(&mut self, name: &str, key: &PipelineKey) -> Result<(), String> {
        let stem = match name.strip_prefix("common/") {
            Some(stem) => stem,
            None => {
                let link = key.links.iter().find(|(import, _)| *import == name);
                link.ok_or_else(|| format!("import `{name}` is not linked"))?.1
            }
        };
        let file = COMMON.iter().find(|(candidate, _)| *candidate == stem);
        let (stem, file) = file.ok_or_else(|| format!("no shared shader `{stem}`"))?;
        if self.taken.contains(stem) {
            return Ok(());
        }
        self.taken.push(stem);
        self.append(file, key)
    }
}
