//! Resolves a kernel's `#import` lines into one WGSL text.
//!
//! `#import common/name` takes a shared file; `#import name` takes the file that the dispatch linked to `name`
//! (a variant by linking, so that no kernel body has an `#ifdef`). Each file is taken once; an unknown name is an
//! error. The same bytes are used natively, in the browser and in tests.

use super::kernel::PipelineKey;

/// The shared files under `shaders/common/`, by stem.
pub const COMMON: &[(&str, &str)] = &[
    ("reduce", include_str!("../../shaders/common/reduce.wgsl")),
    ("reduce4", include_str!("../../shaders/common/reduce4.wgsl")),
    ("weight_bf16", include_str!("../../shaders/common/weight_bf16.wgsl")),
    ("weight_f16", include_str!("../../shaders/common/weight_f16.wgsl")),
    ("weight_f32", include_str!("../../shaders/common/weight_f32.wgsl")),
    ("weight_q4_0", include_str!("../../shaders/common/weight_q4_0.wgsl")),
    ("weight_q4_1", include_str!("../../shaders/common/weight_q4_1.wgsl")),
    ("weight_q4_k", include_str!("../../shaders/common/weight_q4_k.wgsl")),
    ("weight_q5_0", include_str!("../../shaders/common/weight_q5_0.wgsl")),
    ("weight_q5_1", include_str!("../../shaders/common/weight_q5_1.wgsl")),
    ("weight_q5_k", include_str!("../../shaders/common/weight_q5_k.wgsl")),
    ("weight_q6_k", include_str!("../../shaders/common/weight_q6_k.wgsl")),
    ("weight_q8_0", include_str!("../../shaders/common/weight_q8_0.wgsl")),
];

/// The text of `wgsl` with its imports put in place, or the name that is unknown.
pub fn resolve(wgsl: &str, key: &PipelineKey) -> Result<String, String> {
    let mut text = String::with_capacity(wgsl.len() * 2);
    let mut taken: Vec<&str> = Vec::new();
    for line in wgsl.lines() {
        let Some(name) = line.strip_prefix("#import ") else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let name = name.trim();
        let stem = match name.strip_prefix("common/") {
            Some(stem) => stem,
            None => {
                let link = key.links.iter().find(|(import, _)| *import == name);
                link.ok_or_else(|| format!("import `{name}` is not linked"))?.1
            }
        };
        if taken.contains(&stem) {
            continue;
        }
        taken.push(stem);
        let file = COMMON.iter().find(|(candidate, _)| *candidate == stem);
        text.push_str(file.ok_or_else(|| format!("no shared shader `{stem}`"))?.1);
    }
    Ok(text)
}
