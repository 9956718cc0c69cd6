//! Many-row products whose weights are held in registers, wait in workgroup memory as f16, and by cooperative matrices.
//!
//! Tolerance: rounding a weight to f16 is off by at most one part in 2048; of `k` such products with numbers up to 1 the
//! errors add up to about 4e-5 times the root of `k`, of which six times is allowed.

use super::harness::{Case, Devices, Fault, check_all, check_on};
use super::products::{dx_case, linear_case};
use apprentice::device::{Device, DeviceChoice, Matrices};
use apprentice::quant::TensorType;
use apprentice::tensor::TileType;
use pollster::block_on;

fn held(mut case: Case, tile: TileType, terms: usize) -> Case {
    case.name = format!("{} in {}", case.name, tile.name());
    case.weights[0].tile = tile;
    case.tolerance(2.5e-4 * (terms as f64).sqrt(), 1e-4)
}

/// The forward product with the weights held so.
pub fn forward(ty: TensorType, [rows, n, k]: [usize; 3], add: bool, tile: TileType) -> Case {
    let case = linear_case(ty, [rows, n, k], add);
    let k = case.weights[0].cols;
    held(case, tile, k)
}

/// The gradient's product with the weights held so.
pub fn backward(ty: TensorType, [rows, n, k]: [usize; 3], add: bool, tile: TileType) -> Case {
    held(dx_case(ty, [rows, n, k], add), tile, n)
}

fn cases(tile: TileType) -> Vec<Case> {
    let mut cases = Vec::new();
    for ty in TensorType::ALL.into_iter().filter(|ty| tile.holds(*ty)) {
        cases.push(forward(ty, [9, 65, 96], true, tile));
        cases.push(forward(ty, [64, 64, 32], false, tile));
        cases.push(backward(ty, [3, 65, 96], true, tile));
        cases.push(backward(ty, [64, 32, 64], false, tile));
    }
    cases.push(forward(TensorType::Q4_1, [130, 130, 576], false, tile));
    cases.push(backward(TensorType::Q4_1, [130, 130, 160], false, tile));
    cases
}

/// A product, forward or backward, in registers: as exact as f32 in workgroup memory.
pub fn in_registers(mut case: Case, quads: bool) -> Case {
    case.name = format!("{} in registers, quads {quads}", case.name);
    case.weights[0].tile = TileType::Registers { quads };
    case
}

#[test]
fn products_in_registers_agree() {
    let devices = Devices::open();
    assert!(devices.gpu.features().subgroups, "the software adapter has subgroups");
    let q4_1 = TensorType::Q4_1;
    let mut cases = Vec::new();
    for quads in [false, true] {
        let mut push = |case: Case| cases.push(in_registers(case, quads));
        for ty in TensorType::ALL {
            push(linear_case(ty, [9, 65, 96], true));
            push(linear_case(ty, [8, 64, 32], false));
            push(dx_case(ty, [9, 65, 96], true));
            push(dx_case(ty, [8, 64, 64], false));
        }
        // One row, rows and columns around a lane's eight, and workgroups that are not full.
        for rows in [1, 2, 7, 17, 65] {
            push(linear_case(q4_1, [rows, 71, 64], false));
            push(dx_case(q4_1, [rows, 71, 64], false));
        }
        for n in [1, 2, 3, 5, 130] {
            push(linear_case(q4_1, [5, n, 96], true));
            push(dx_case(q4_1, [5, n, 96], true));
        }
        push(linear_case(q4_1, [17, 192, 576], false));
        push(dx_case(q4_1, [17, 192, 576], false));
    }
    check_all(&devices, cases);
    let parts = Devices::clamped(1024);
    let case = |quads| in_registers(dx_case(q4_1, [2, 51, 64], true), quads);
    let w = apprentice::tensor::Weight::alloc(&parts.gpu, "w", q4_1, 51, 64).expect("a weight");
    assert!(w.parts.len() > 1, "in one part");
    let both = |quads| [case(quads), in_registers(linear_case(q4_1, [2, 51, 64], true), quads)];
    check_all(&parts, [false, true].into_iter().flat_map(both).collect());
}

#[test]
fn tiles_of_f16_agree() {
    let devices = Devices::open();
    assert!(devices.gpu.features().f16, "the software adapter has f16");
    check_all(&devices, cases(TileType::F16));
    // The numbers are not f32's: the tile was f16.
    let [mut exact, half] = [TileType::F32, TileType::F16]
        .map(|tile| forward(TensorType::Q8_0, [65, 65, 576], false, tile));
    exact.atol = half.atol;
    check_on(&devices.gpu, &exact).expect("f32 is nearer than f16 must be");
    let strict = half.tolerance(3e-6 * 24.0, 1e-5);
    assert!(matches!(check_on(&devices.gpu, &strict), Err(Fault::Wrong(_))), "as exact as f32");
}

/// No adapter of these tests has cooperative matrices: there the wrapper and the twin are checked, on the CPU device,
/// and `shaders` makes SPIR-V of the kernels. An adapter that has them runs them here.
#[test]
fn cooperative_matrices_agree_where_there_are_any() {
    let gpu = block_on(Device::open(DeviceChoice::Gpu)).expect("a GPU, if a software one");
    let has = gpu.features().matrices;
    let side = |side| TileType::Matrices(has.unwrap_or(Matrices { side, lanes: 128 }));
    for case in cases(side(16)).into_iter().chain(cases(side(8))) {
        check_on(&Device::cpu(), &case).unwrap_or_else(|fault| panic!("{}: {fault}", case.name));
        if has.is_some() {
            check_on(&gpu, &case).unwrap_or_else(|fault| panic!("{}: {fault}", case.name));
        }
    }
    println!("cooperative matrices ran on this adapter: {}", has.is_some());
}

#[test]
fn numbers_of_f32_files_are_not_rounded() {
    for tile in [TileType::F16, TileType::Matrices(Matrices { side: 16, lanes: 128 })] {
        assert!(!tile.holds(TensorType::F32) && !tile.holds(TensorType::BF16));
        assert!(tile.holds(TensorType::Q4K) && tile.holds(TensorType::F16));
    }
    assert!(TensorType::ALL.into_iter().all(|ty| TileType::F32.holds(ty)));
}
