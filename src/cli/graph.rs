//! A history as lanes of text: a star a version, bars for the lines that go on, slashes where they part and meet.
//!
//! It knows only names and parents. Invariant: children come before their parents, and a row of a version holds exactly
//! one star.

/// A version to draw: its name, and its parents' names, the first one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its parents.
    pub parents: Vec<String>,
}

/// The rows to print for nodes in order: drawn lanes, and the index of the node whose row it is, if it is one's.
pub fn rows(nodes: &[Node]) -> Vec<(String, Option<usize>)> {
    let mut lanes: Vec<String> = Vec::new();
    let mut rows = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        // Lines that meet here end in the leftmost one.
        let own = lanes.iter().position(|next| *next == node.name).unwrap_or_else(|| {
            lanes.push(node.name.clone());
            lanes.len() - 1
        });
        while let Some(other) = lanes.iter().rposition(|next| *next == node.name) {
            if other == own {
                break;
            }
            lanes.remove(other);
            rows.push((meeting(lanes.len(), own, other), None));
        }
        let bars = (0..lanes.len()).map(|lane| if lane == own { "*" } else { "|" });
        rows.push((bars.collect::<Vec<_>>().join(" "), Some(index)));
        match &node.parents[..] {
            [] => drop(lanes.remove(own)),
            [first, others @ ..] => {
                lanes[own] = first.clone();
                for other in others {
                    lanes.insert(own + 1, other.clone());
                    rows.push((parting(lanes.len(), own), None));
                }
            }
        }
    }
    rows
}

/// The lane `from` of `lanes + 1` runs into the lane `to` on its left; those on its right move up.
fn meeting(lanes: usize, to: usize, from: usize) -> String {
    let mut row: Vec<char> = "| ".repeat(lanes).chars().collect();
    // Under the lanes that it passes, a line; then the slash at the lane that it runs into.
    for cell in row.iter_mut().take(2 * from).skip(2 * to + 2).filter(|cell| **cell == ' ') {
        *cell = '_';
    }
    row.resize(row.len().max(2 * from), ' ');
    row[2 * to + 1] = '/';
    for lane in from..lanes {
        (row[2 * lane], row[2 * lane + 1]) = (' ', '/');
    }
    row.iter().collect::<String>().trim_end().to_string()
}

/// A new lane leaves the lane `from` on its right.
fn parting(lanes: usize, from: usize) -> String {
    let mut row: Vec<char> = "| ".repeat(lanes).chars().collect();
    row[2 * from + 1] = '\\';
    for lane in from + 1..lanes {
        (row[2 * lane], row[2 * lane + 1]) = (' ', if lane + 1 < lanes { '\\' } else { ' ' });
    }
    row.iter().collect::<String>().trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(nodes: &[(&str, &[&str])]) -> Vec<String> {
        let nodes: Vec<Node> = nodes
            .iter()
            .map(|(name, parents)| Node {
                name: (*name).into(),
                parents: parents.iter().map(|parent| (*parent).into()).collect(),
            })
            .collect();
        let name = |index: Option<usize>| index.map_or(String::new(), |i| nodes[i].name.clone());
        rows(&nodes).into_iter().map(|(row, index)| format!("{row} {}", name(index))).collect()
    }

    #[test]
    fn a_line_is_a_column() {
        let rows = drawn(&[("b", &["a"]), ("a", &["base"]), ("base", &[])]);
        assert_eq!(rows, ["* b", "* a", "* base"]);
    }

    #[test]
    fn branches_part_and_meet() {
        let rows = drawn(&[("b", &["root"]), ("a", &["root"]), ("root", &[])]);
        assert_eq!(rows, ["* b", "| * a", "|/ ", "* root"]);
    }

    #[test]
    fn a_merge_has_two_parents() {
        let rows = drawn(&[("m", &["b", "a"]), ("b", &["root"]), ("a", &["root"]), ("root", &[])]);
        assert_eq!(rows, ["* m", "|\\ ", "* | b", "| * a", "|/ ", "* root"]);
    }

    #[test]
    fn a_far_lane_passes_under_the_others() {
        let nodes: [(&str, &[&str]); 5] =
            [("c", &["root"]), ("b", &["x"]), ("a", &["root"]), ("root", &[]), ("x", &[])];
        let rows = drawn(&nodes);
        assert_eq!(rows, ["* c", "| * b", "| | * a", "|/|_ ", "* | root", "* x"].map(String::from));
    }
}
