//! Every shader as every browser must take it: it parses, validates with core WebGPU's capabilities and those that its
//! `enable` lines name, stays within WebGPU's default limits, and its bindings and params are those of the kernel's table
//! and of Rust.
//!
//! No device is needed. Each check collects all that is wrong, and counts what it looked at.

use apprentice::device::shader::{self, Dialect};
use apprentice::device::{Access, KernelDef, PipelineKey};
use apprentice::kernels::{ALL, LAYOUTS, Layout};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage, StorageAccess, TypeInner};

/// The files that an import name may be linked to.
const LINKS: &[(&str, &[&str])] = &[
    (
        "weight",
        &[
            "weight_f32",
            "weight_f16",
            "weight_bf16",
            "weight_q4_0",
            "weight_q4_1",
            "weight_q5_0",
            "weight_q5_1",
            "weight_q8_0",
            "weight_q4_k",
            "weight_q5_k",
            "weight_q6_k",
        ],
    ),
    ("sum4", &["reduce4", "reduce4_subgroups"]),
    ("dot", &["dot_float", "dot_int8"]),
    ("lanes", &["lanes_1", "lanes_16"]),
    ("four", &["four_own", "four_quads"]),
    ("tile", &["tile_f32", "tile_f16"]),
    ("matrices", &["matrices_8", "matrices_16"]),
];

/// Files that never meet: floats have no integers to multiply, and lanes that share a tile's columns want different x.
fn is_linked(key: &PipelineKey) -> bool {
    let has = |stem: &str| key.links.iter().any(|(_, file)| *file == stem);
    let floats = ["weight_f32", "weight_f16", "weight_bf16"];
    let quads = has("lanes_16") && has("four_quads");
    !(quads || has("dot_int8") && floats.into_iter().any(has))
}

/// Ends of kernels' names, an override, and the values that it is given by some wrapper of such a kernel; the first that
/// fits.
const OVERRIDES: &[(&str, &str, &[u32])] = &[
    ("_registers", "WG", &[8, 64]),
    ("", "WG", &[64, 128, 256]),
    ("", "HEAD_DIM", &[4, 32, 64, 128]),
];

/// What only browsers with the language feature `packed_4x8_integer_dot_product` know: one variant of a product has it, and
/// is taken where the feature is.
const PACKED: [&str; 2] = ["pack4x", "dot4"];

/// Every pipeline key of a kernel: all links times all override values.
fn keys(kernel: &'static KernelDef) -> Vec<PipelineKey> {
    let plain = PipelineKey { kernel: kernel.name, links: Vec::new(), overrides: Vec::new() };
    let mut keys = vec![plain];
    for import in kernel.links {
        let (_, files) = LINKS.iter().find(|(name, _)| name == import).expect("a known import");
        let with = |key: &PipelineKey, file| {
            let mut key = key.clone();
            key.links.push((*import, file));
            key
        };
        keys = keys.iter().flat_map(|key| files.iter().map(|file| with(key, *file))).collect();
    }
    for name in kernel.overrides {
        let fits = |(end, known, _): &&(&str, &str, _)| known == name && kernel.name.ends_with(end);
        let (.., values) = OVERRIDES.iter().find(fits).expect("known");
        let with = |key: &PipelineKey, value| {
            let mut key = key.clone();
            key.overrides.push((*name, value));
            key
        };
        keys = keys.iter().flat_map(|key| values.iter().map(|value| with(key, *value))).collect();
    }
    keys.retain(is_linked);
    keys
}

/// The features that kernels may use, beside core WebGPU's.
const ENABLES: &[(&str, Capabilities)] = &[
    ("enable f16;", Capabilities::SHADER_FLOAT16),
    ("enable subgroups;", Capabilities::SUBGROUP),
    ("enable wgpu_cooperative_matrix;", Capabilities::COOPERATIVE_MATRIX),
];

/// Core WebGPU's capabilities (`unpack2x16float` is one of them), and those that the browser's text asks for.
fn capabilities(enables: &[&str]) -> Capabilities {
    let asked = ENABLES.iter().filter(|(line, _)| enables.contains(line));
    asked
        .map(|(_, capability)| *capability)
        .fold(Capabilities::SHADER_FLOAT16_IN_FLOAT32, |all, one| all | one)
}

/// The text for naga, and what the browser's text has before it.
fn resolve(kernel: &KernelDef, key: &PipelineKey) -> Result<(String, Vec<&'static str>), String> {
    let browser = shader::resolve(kernel.wgsl, key, Dialect::Browser)?;
    let naga = shader::resolve(kernel.wgsl, key, Dialect::Naga)?;
    let head: Vec<_> = browser.lines().take_while(|line| line.starts_with("enable ")).collect();
    let known = |line: &&str| ENABLES.iter().find(|(known, _)| known == line);
    let named: Vec<_> = head.iter().filter_map(known).map(|(line, _)| *line).collect();
    let body = |text: &str| text.lines().filter(|l| !l.starts_with("enable ")).count();
    if named.len() < head.len() || body(&naga) != body(&browser) {
        return Err(format!("the browser's text begins with {head:?}"));
    }
    Ok((naga, named))
}

fn parse(source: &str, enables: &[&str]) -> Result<(Module, ModuleInfo), String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|e| e.emit_to_string(source))?;
    let info = Validator::new(ValidationFlags::all(), capabilities(enables))
        .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
        .subgroup_operations(naga::valid::SubgroupOperationSet::all())
        .validate(&module)
        .map_err(|e| e.emit_to_string(source))?;
    Ok((module, info))
}

/// Everything that is wrong with one pipeline.
fn faults(
    kernel: &KernelDef,
    layout: Layout,
    (source, enables): (&str, &[&str]),
    key: &PipelineKey,
) -> Vec<String> {
    let (module, info) = match parse(source, enables) {
        Ok(parsed) => parsed,
        Err(error) => return vec![error],
    };
    let mut faults = params_faults(kernel, layout, &module);
    if !key.links.contains(&("dot", "dot_int8")) {
        let code = || source.lines().filter(|line| !line.trim_start().starts_with("//"));
        let packed = PACKED.iter().filter(|name| code().any(|line| line.contains(**name)));
        faults.extend(packed.map(|name| format!("{name} is of a language feature")));
    }
    faults.extend(binding_faults(kernel, &module));
    let constants = key.overrides.iter().map(|(n, v)| (n.to_string(), f64::from(*v))).collect();
    let entry = Some((ShaderStage::Compute, "main"));
    match naga::back::pipeline_constants::process_overrides(&module, &info, entry, &constants) {
        Ok((module, _)) => faults.extend(limit_faults(&module)),
        Err(error) => faults.push(format!("overrides: {error}")),
    }
    faults
}

fn limit_faults(module: &Module) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |what: &str, value: u32, most: u32| {
        if value > most {
            faults.push(format!("{value} {what}, at most {most}"));
        }
    };
    let in_space = |space: fn(&AddressSpace) -> bool| {
        module.global_variables.iter().filter(move |(_, global)| space(&global.space))
    };
    let storage = in_space(|space| matches!(space, AddressSpace::Storage { .. })).count();
    check("storage buffers", storage as u32, 8);
    let workgroup: u32 = in_space(|space| *space == AddressSpace::WorkGroup)
        .map(|(_, global)| module.types[global.ty].inner.size(module.to_ctx()))
        .sum();
    check("bytes of workgroup memory", workgroup, 16_384);
    let [x, y, z] = module.entry_points[0].workgroup_size;
    check("invocations", x * y * z, 256);
    check("invocations along z", z, 64);
    faults
}

fn binding_faults(kernel: &KernelDef, module: &Module) -> Vec<String> {
    let mut found: Vec<(u32, u32, AddressSpace)> = module
        .global_variables
        .iter()
        .filter_map(|(_, g)| g.binding.as_ref().map(|b| (b.group, b.binding, g.space)))
        .collect();
    found.sort_by_key(|(group, binding, _)| (*group, *binding));
    let storage = |access: &Access| match access {
        Access::Read => AddressSpace::Storage { access: StorageAccess::LOAD },
        Access::Write => {
            AddressSpace::Storage { access: StorageAccess::LOAD | StorageAccess::STORE }
        }
    };
    let wanted: Vec<_> = std::iter::once(AddressSpace::Uniform)
        .chain(kernel.bindings.iter().map(storage))
        .zip(0..)
        .map(|(space, binding)| (0, binding, space))
        .collect();
    if found == wanted { Vec::new() } else { vec![format!("bindings {found:?}, not {wanted:?}")] }
}

fn params_faults(kernel: &KernelDef, layout: Layout, module: &Module) -> Vec<String> {
    let params = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some("Params"));
    let Some(TypeInner::Struct { members, span }) = params.map(|(_, ty)| &ty.inner) else {
        return vec!["no struct `Params`".into()];
    };
    // Padding has one name in Rust and one a word in WGSL; the span covers it.
    let is_field = |name: &str| !name.starts_with("pad");
    let ours: Vec<_> = members
        .iter()
        .map(|member| (member.name.as_deref().unwrap_or(""), member.offset as usize))
        .filter(|(name, _)| is_field(name))
        .collect();
    let theirs: Vec<_> = layout.iter().copied().filter(|(name, _)| is_field(name)).collect();
    let mut faults = Vec::new();
    if ours != theirs {
        faults.push(format!("params are {ours:?} in WGSL and {theirs:?} in Rust"));
    }
    if *span as usize != kernel.params_bytes {
        faults.push(format!("params of {span} bytes in WGSL, {} in Rust", kernel.params_bytes));
    }
    faults
}

#[test]
fn every_pipeline_is_valid_and_within_the_baseline() {
    let mut wrong = Vec::new();
    let mut pipelines = 0;
    assert_eq!(ALL.len(), LAYOUTS.len());
    for (kernel, layout) in ALL.iter().zip(LAYOUTS) {
        for key in keys(kernel) {
            pipelines += 1;
            let (source, enables) = match resolve(kernel, &key) {
                Ok(source) => source,
                Err(error) => {
                    wrong.push(format!("{key:?}: {error}"));
                    continue;
                }
            };
            wrong.extend(
                faults(kernel, layout, (&source, &enables), &key)
                    .iter()
                    .map(|f| format!("{key:?}: {f}")),
            );
        }
    }
    assert!(pipelines > 100, "only {pipelines} pipelines were looked at");
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_shader_file_is_a_kernel_or_shared() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let stems = |folder: &std::path::Path| -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("the folder of shaders");
        let mut stems: Vec<String> = entries
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.is_file())
            .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
            .collect();
        stems.sort();
        stems
    };
    let mut kernels: Vec<_> = ALL.iter().map(|kernel| kernel.name.to_string()).collect();
    kernels.sort();
    assert_eq!(stems(&folder), kernels);
    let mut shared: Vec<_> = shader::COMMON.iter().map(|(stem, _)| stem.to_string()).collect();
    shared.sort();
    assert_eq!(stems(&folder.join("common")), shared);
}

/// The lint itself must see what it is there for: each planted fault is one edit of a good shader.
#[test]
fn planted_faults_are_seen() {
    let (kernel, layout) =
        ALL.iter().zip(LAYOUTS).find(|(kernel, _)| kernel.name == "rms_norm").expect("rms_norm");
    let key = keys(kernel).pop().expect("a key");
    let (good, enables) = resolve(kernel, &key).expect("imports");
    assert_eq!(faults(kernel, layout, (&good, &enables), &key), Vec::<String>::new());
    let planted = [
        ("swapped params", "rows: u32,\n    cols: u32", "cols: u32,\n    rows: u32", "params are"),
        ("a longer struct", "eps: f32", "eps: f32, pad1: vec4<u32>", "bytes in WGSL"),
        ("a writable input", "read> x", "read_write> x", "bindings"),
        ("much memory", "array<f32, WG>", "array<f32, 4097>", "workgroup memory"),
        ("many lanes", "@workgroup_size(WG)", "@workgroup_size(512)", "invocations"),
        ("half floats", "var squares = 0.0;", "var squares = f32(f16(0.0));", "f16"),
        ("subgroups", "var squares = 0.0;", "var squares = subgroupAdd(0.0);", "subgroup"),
        (
            "packed bytes",
            "var squares = 0.0;",
            "var squares = f32(unpack4xU8(1u).x);",
            "language feature",
        ),
        ("no such override", "override WG: u32;", "override GW: u32; const WG = 64u;", "overrides"),
    ];
    for (name, from, to, seen) in planted {
        assert!(good.contains(from), "{name}: the text to edit is gone");
        let found =
            faults(kernel, layout, (&good.replacen(from, to, 1), &enables), &key).join("\n");
        assert!(found.contains(seen), "{name}: not seen in {found:?}");
    }
}

/// The two texts of a kernel with subgroups part in the one line that naga refuses and browsers want.
#[test]
fn browsers_are_asked_for_subgroups_and_naga_is_not() {
    let matvec = ALL.iter().find(|kernel| kernel.name == "matvec").expect("matvec");
    let key = keys(matvec)
        .into_iter()
        .find(|key| key.links.iter().any(|(_, file)| *file == "reduce4_subgroups"))
        .expect("a pipeline with subgroups");
    let text = |dialect| shader::resolve(matvec.wgsl, &key, dialect).expect("imports");
    let (browser, naga) = (text(Dialect::Browser), text(Dialect::Naga));
    assert_eq!(browser, format!("enable subgroups;\n{naga}"));
    assert!(naga::front::wgsl::parse_str(&browser).is_err(), "naga takes the line: drop Dialect");
    let error = parse(&naga, &[]).expect_err("subgroups without asking for them");
    assert!(error.contains("subgroup") || error.contains("Subgroup"), "{error}");
}

/// Kernels that no adapter of the tests can run must at least become SPIR-V, as wgpu would make it.
#[test]
fn cooperative_matrices_become_spirv() {
    let mut pipelines = 0;
    for kernel in ALL.iter().filter(|kernel| kernel.links.contains(&"matrices")) {
        for key in keys(kernel) {
            let (source, enables) = resolve(kernel, &key).expect("imports");
            let (module, info) =
                parse(&source, &enables).unwrap_or_else(|e| panic!("{key:?}: {e}"));
            let constants = key.overrides.iter().map(|(n, v)| (n.to_string(), f64::from(*v)));
            let entry = Some((ShaderStage::Compute, "main"));
            let (module, info) = naga::back::pipeline_constants::process_overrides(
                &module,
                &info,
                entry,
                &constants.collect(),
            )
            .expect("overrides");
            let options = naga::back::spv::Options { lang_version: (1, 3), ..Default::default() };
            let words = naga::back::spv::write_vec(&module, &info, &options, None)
                .unwrap_or_else(|error| panic!("{key:?}: {error}"));
            // OpCooperativeMatrixMulAddKHR, the instruction that all this is for.
            let multiplies = words.iter().filter(|word| **word & 0xffff == 4459).count();
            assert!(multiplies >= 4, "{key:?}: {multiplies} products of matrices");
            pipelines += 1;
        }
    }
    assert!(pipelines >= 2 * 2 * 11, "only {pipelines} pipelines");
}
