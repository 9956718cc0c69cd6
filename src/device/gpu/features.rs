//! What a GPU offers beyond core WebGPU and the kernels can use, and the tier that this makes.
//!
//! Only what some kernel uses is asked for. Nothing here decides which kernel runs.

/// What kernels may rely on. Each kernel has a baseline variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Core WebGPU: 8 storage buffers, 16 KiB of workgroup memory, 256 invocations, 128 MiB a binding.
    Baseline,
    /// And `shader-f16`.
    F16,
    /// And subgroups.
    Subgroups,
    /// And cooperative matrices that fit the kernels (native only).
    CooperativeMatrix,
}

impl Tier {
    /// Its name as users see it.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Baseline => "baseline",
            Tier::F16 => "f16",
            Tier::Subgroups => "subgroups",
            Tier::CooperativeMatrix => "cooperative-matrix",
        }
    }
}

/// Cooperative matrices of f16 operands and f32 sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matrices {
    /// Their rows and columns, 8 or 16.
    pub side: u32,
    /// Lanes of a workgroup of four subgroups.
    pub lanes: u32,
}

/// What a device has. The CPU device has nothing of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// f16 arithmetic in shaders.
    pub f16: bool,
    /// Sums over subgroups.
    pub subgroups: bool,
    /// `dot4I8Packed`.
    pub int8_dot: bool,
    /// Cooperative matrices, of the largest size that fits.
    pub matrices: Option<Matrices>,
    /// Is it a program instead of a GPU? Then more instructions are slower, whatever they are.
    pub software: bool,
}

impl Features {
    /// What an adapter offers, in an instance that knows these language features.
    pub(in crate::device) fn of(
        adapter: &wgpu::Adapter,
        language: &wgpu::WgslLanguageFeatures,
    ) -> Features {
        let has = adapter.features();
        Features {
            f16: has.contains(wgpu::Features::SHADER_F16),
            subgroups: has.contains(wgpu::Features::SUBGROUP),
            int8_dot: language.contains(wgpu::WgslLanguageFeatures::Packed4x8IntegerDotProduct),
            matrices: matrices(adapter),
            software: adapter.get_info().device_type == wgpu::DeviceType::Cpu,
        }
    }

    /// What to ask wgpu for.
    pub(super) fn asked(self) -> wgpu::Features {
        let ask = |has: bool, feature| if has { feature } else { wgpu::Features::empty() };
        ask(self.f16, wgpu::Features::SHADER_F16)
            | ask(self.subgroups, wgpu::Features::SUBGROUP)
            | ask(self.matrices.is_some(), wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX)
    }

    /// The highest tier that it has all of.
    pub fn tier(self) -> Tier {
        match self {
            Features { matrices: Some(_), .. } => Tier::CooperativeMatrix,
            Features { subgroups: true, .. } => Tier::Subgroups,
            Features { f16: true, .. } => Tier::F16,
            _ => Tier::Baseline,
        }
    }

    /// What it has, in words.
    pub fn names(self) -> Vec<String> {
        let named = |has: bool, name: &str| has.then(|| name.to_string());
        let matrices = self.matrices.map(|m| format!("{0} x {0} matrices", m.side));
        [
            named(self.f16, "f16"),
            named(self.subgroups, "subgroups"),
            named(self.int8_dot, "int8 products"),
            matrices,
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// The adapter's cooperative matrices, if some fit: f16 times f16 to f32, 16 or 8 rows and columns, and subgroups of one
/// size, of which four make no more than 256 lanes.
fn matrices(adapter: &wgpu::Adapter) -> Option<Matrices> {
    let needed = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX
        | wgpu::Features::SHADER_F16
        | wgpu::Features::SUBGROUP;
    let info = adapter.get_info();
    let lanes = 4 * info.subgroup_max_size;
    let four = info.subgroup_min_size == info.subgroup_max_size && lanes <= 256;
    if !adapter.features().contains(needed) || !four {
        return None;
    }
    let all = adapter.cooperative_matrix_properties();
    let fits = |side: u32| {
        all.iter().any(|p| {
            [p.m_size, p.n_size, p.k_size] == [side; 3]
                && p.ab_type == wgpu::CooperativeScalarType::F16
                && p.cr_type == wgpu::CooperativeScalarType::F32
                && !p.saturating_accumulation
        })
    };
    [16, 8].into_iter().find(|side| fits(*side)).map(|side| Matrices { side, lanes })
}
