//! How far two adapters are apart: by what they do to the model's matrices, not by their factors.
//!
//! An update is s B A. The difference of two is one product of stacked factors, [s2 B2, −s1 B1] [A2; A1], and
//! ‖U V‖² = tr((UᵀU)(V Vᵀ)) takes two Gram matrices of the ranks' sum instead of a matrix as large as the model's.
//! It knows no devices. Invariant: factors that are turned against each other (B R, R⁻¹ A) are no distance apart.

use super::ModelError;
use super::adapter::Adapter;
use super::config::Config;
use super::lora::Module;
use super::method::Method;
use super::stack::layout_of;
use serde::Serialize;

/// Frobenius norms over all matrices of the model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Distance {
    /// ‖s1 B1 A1‖.
    pub from: f64,
    /// ‖s2 B2 A2‖.
    pub to: f64,
    /// ‖s2 B2 A2 − s1 B1 A1‖.
    pub change: f64,
}

impl Distance {
    /// The change beside the larger of the two; 0 where both do nothing.
    pub fn relative(&self) -> f64 {
        let larger = self.from.max(self.to);
        if larger > 0.0 { self.change / larger } else { 0.0 }
    }
}

/// One update's factors: B `[out, r]`, A `[r, in]`, and the factor on their product.
struct Factors<'a> {
    b: &'a [f32],
    a: &'a [f32],
    rank: usize,
    scale: f64,
}

/// The distance from one adapter to another; none is the base model. DoRA and (IA)³ are no sums of updates and have none.
pub fn distance(
    config: &Config,
    from: Option<&Adapter>,
    to: Option<&Adapter>,
) -> Result<Option<Distance>, ModelError> {
    let is_sum = |adapter: &&Adapter| matches!(adapter.method, Method::Lora | Method::RsLora);
    let given = [from, to];
    if !given.iter().flatten().all(is_sum) {
        return Ok(None);
    }
    let mut layouts = [None, None];
    for (layout, adapter) in layouts.iter_mut().zip(given) {
        *layout = adapter.map(|adapter| layout_of(config, adapter)).transpose()?;
    }
    let mut squares = [0.0; 3];
    for layer in 0..config.layers {
        for module in Module::ALL {
            let factors = |side: usize| {
                let (layout, adapter) = (layouts[side].as_ref()?, given[side]?);
                let slot = layout.slot(layer, module);
                let part = |at: usize, len: usize| &adapter.weights[at..][..adapter.rank * len];
                let scale = adapter.method.scale(adapter.alpha, adapter.rank);
                Some(Factors {
                    b: part(slot.b, slot.outputs),
                    a: part(slot.a, slot.inputs),
                    rank: adapter.rank,
                    scale: f64::from(scale),
                })
            };
            let (one, two) = (factors(0), factors(1));
            let own = |side: &Option<Factors<'_>>| side.as_ref().map_or(0.0, |f| inner(f, f));
            let both = one.as_ref().zip(two.as_ref()).map_or(0.0, |(one, two)| inner(one, two));
            squares[0] += own(&one);
            squares[1] += own(&two);
            squares[2] += own(&one) + own(&two) - 2.0 * both;
        }
    }
    // Rounding can leave a little less than nothing.
    let [from, to, change] = squares.map(|square| square.max(0.0).sqrt());
    Ok(Some(Distance { from, to, change }))
}

/// The inner product of two updates: tr((s1 B1 A1)ᵀ (s2 B2 A2)) = s1 s2 Σ_ij (B1ᵀ B2)_ij (A1 A2ᵀ)_ij.
fn inner(one: &Factors<'_>, two: &Factors<'_>) -> f64 {
    let (n, m) = (one.rank, two.rank);
    let mut columns = vec![0.0f64; n * m];
    for (b1, b2) in one.b.chunks_exact(n).zip(two.b.chunks_exact(m)) {
        for (i, x) in b1.iter().enumerate() {
            for (j, y) in b2.iter().enumerate() {
                columns[i * m + j] += f64::from(*x) * f64::from(*y);
            }
        }
    }
    let (in1, in2) = (one.a.len() / n, two.a.len() / m);
    let mut sum = 0.0;
    for (i, a1) in one.a.chunks_exact(in1).enumerate() {
        for (j, a2) in two.a.chunks_exact(in2).enumerate() {
            let dot: f64 = a1.iter().zip(a2).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            sum += columns[i * m + j] * dot;
        }
    }
    one.scale * two.scale * sum
}
