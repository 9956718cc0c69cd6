// The k largest logits of each row, sorted, with their ids and the row's log-sum-exp; one workgroup a row.
// Radix selection, 8 bits a pass: first over the logit's order-preserving key, then over the inverted id, so
// that ties go to the lowest id and the set does not depend on which lane came first.

struct Params {
    rows: u32,
    cols: u32,
    k: u32,
    pad0: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
// A row: k ids, k logits as bits, the log-sum-exp as bits.
@group(0) @binding(2) var<storage, read_write> best: array<u32>;

#import common/reduce

var<workgroup> sh_counts: array<atomic<u32>, 256>;
var<workgroup> sh_found: atomic<u32>;
// The threshold as far as it is known (key, inverted id), and how many must still be taken below it.
var<workgroup> sh_key: u32;
var<workgroup> sh_id: u32;
var<workgroup> sh_need: u32;
var<workgroup> sh_keys: array<u32, 64>;
var<workgroup> sh_ids: array<u32, 64>;

// Orders as the float does: larger float, larger key.
fn key_of(value: f32) -> u32 {
    let bits = bitcast<u32>(value);
    return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}

fn value_of(key: u32) -> u32 {
    return select(~key, key & 0x7fffffffu, (key >> 31u) == 1u);
}

// Do the bits of `word` above `shift + 8` equal the threshold's?
fn agrees(word: u32, threshold: u32, shift: u32) -> bool {
    return shift >= 24u || (word >> (shift + 8u)) == (threshold >> (shift + 8u));
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    let start = min(row, p.rows - 1u) * p.cols;
    var most = -1.0e30;
    for (var i = lane; i < p.cols; i += WG) {
        most = max(most, logits[start + i]);
    }
    let peak = reduce_max(lane, most);
    var sum = 0.0;
    for (var i = lane; i < p.cols; i += WG) {
        sum += exp(logits[start + i] - peak);
    }
    let total = reduce_sum(lane, sum);
    if lane == 0u {
        sh_key = 0u;
        sh_id = 0u;
        sh_need = p.k;
    }
    // Passes 0..4 fix the key's bytes, passes 4..8 the inverted id's.
    for (var pass_index = 0u; pass_index < 8u; pass_index++) {
        let shift = 24u - 8u * (pass_index % 4u);
        let by_id = pass_index >= 4u;
        for (var i = lane; i < 256u; i += WG) {
            atomicStore(&sh_counts[i], 0u);
        }
        workgroupBarrier();
        for (var i = lane; i < p.cols; i += WG) {
            let key = key_of(logits[start + i]);
            if by_id {
                if key == sh_key && agrees(~i, sh_id, shift) {
                    atomicAdd(&sh_counts[(~i >> shift) & 255u], 1u);
                }
            } else if agrees(key, sh_key, shift) {
                atomicAdd(&sh_counts[(key >> shift) & 255u], 1u);
            }
        }
        workgroupBarrier();
        if lane == 0u {
            var digit = 255u;
            var need = sh_need;
            for (; digit > 0u; digit--) {
                let count = atomicLoad(&sh_counts[digit]);
                if count >= need {
                    break;
                }
                need -= count;
            }
            sh_need = need;
            if by_id {
                sh_id |= digit << shift;
            } else {
                sh_key |= digit << shift;
            }
            atomicStore(&sh_found, 0u);
        }
        workgroupBarrier();
    }
    for (var i = lane; i < p.cols; i += WG) {
        let key = key_of(logits[start + i]);
        if key > sh_key || (key == sh_key && ~i >= sh_id) {
            let at = atomicAdd(&sh_found, 1u);
            if at < 64u {
                sh_keys[at] = key;
                sh_ids[at] = i;
            }
        }
    }
    workgroupBarrier();
    let out = row * (2u * p.k + 1u);
    if row < p.rows && lane < p.k {
        let key = sh_keys[lane];
        let id = sh_ids[lane];
        var rank = 0u;
        for (var j = 0u; j < p.k; j++) {
            if sh_keys[j] > key || (sh_keys[j] == key && sh_ids[j] < id) {
                rank += 1u;
            }
        }
        best[out + rank] = id;
        best[out + p.k + rank] = value_of(key);
    }
    if row < p.rows && lane == 0u {
        best[out + 2u * p.k] = bitcast<u32>(peak + log(total));
    }
}
