//! Near words of the real model's embedding table, against cosines that numpy computed of the dequantized table.

use super::load;
use apprentice::device::Device;
use pollster::block_on;

/// A word, a near one, and the cosine of their embeddings to two digits.
const COSINES: [(&str, &str, f32); 6] = [
    ("team", "teams", 0.79),
    ("team", "crew", 0.52),
    ("maintains", "preserves", 0.70),
    ("composed", "crafted", 0.56),
    ("planet", "planetary", 0.59),
    ("uses", "utilizes", 0.58),
];

#[test]
fn near_words_and_their_cosines() {
    let mut model = load(&Device::cpu());
    for (word, other, cosine) in COSINES {
        let near = block_on(model.near_words(word)).expect("the table is read");
        assert!(near.is_sorted_by(|a, b| a.1 >= b.1), "{word}: the nearest come first");
        assert!(near.iter().all(|(other, _)| other != word), "{word} is not its own neighbour");
        let found = near.iter().find(|(near, _)| near == other);
        let (_, found) = found.unwrap_or_else(|| panic!("{other} is not near {word}: {near:?}"));
        assert!((found - cosine).abs() < 0.006, "{word}, {other}: {found}, not {cosine}");
    }
    assert!(block_on(model.near_words("Ngerulmud")).expect("no token").is_empty());
}
