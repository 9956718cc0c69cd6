//! A sum tree: masses in the leaves, sums above them, so that a draw in proportion to mass takes log n steps.
//!
//! Schaul et al. 2016 (prioritized experience replay), appendix B. It knows no examples. Invariant: an inner node is the
//! sum of its two children, in f64, however often masses were set; a draw never ends at a leaf without mass.

/// The tree over a fixed number of masses.
#[derive(Debug, Clone)]
pub struct SumTree {
    /// Leaves, a power of two.
    leaves: usize,
    /// `[2 * leaves]`: node i has children 2i and 2i + 1, the root is 1.
    nodes: Vec<f64>,
}

impl SumTree {
    /// A tree over masses that are not negative.
    pub fn new(masses: impl ExactSizeIterator<Item = f64>) -> SumTree {
        let leaves = masses.len().next_power_of_two();
        let mut nodes = vec![0.0; 2 * leaves];
        for (node, mass) in nodes[leaves..].iter_mut().zip(masses) {
            *node = mass;
        }
        for node in (1..leaves).rev() {
            nodes[node] = nodes[2 * node] + nodes[2 * node + 1];
        }
        SumTree { leaves, nodes }
    }

    /// The sum of all masses.
    pub fn total(&self) -> f64 {
        self.nodes[1]
    }

    /// The mass at `index`.
    pub fn mass(&self, index: usize) -> f64 {
        self.nodes[self.leaves + index]
    }

    /// Sets the mass at `index`.
    pub fn set(&mut self, index: usize, mass: f64) {
        let mut node = self.leaves + index;
        self.nodes[node] = mass;
        while node > 1 {
            node /= 2;
            // Added up anew, so that no rounding of earlier masses stays behind.
            self.nodes[node] = self.nodes[2 * node] + self.nodes[2 * node + 1];
        }
    }

    /// The index whose stretch of the line of masses holds `point`, which is in 0..total; the total must not be 0.
    pub fn find(&self, point: f64) -> usize {
        debug_assert!(self.total() > 0.0, "a draw from nothing");
        let (mut node, mut rest) = (1, point);
        while node < self.leaves {
            node *= 2;
            // A point at the very end, or past it by rounding, stays with what has mass.
            if rest >= self.nodes[node] && self.nodes[node + 1] > 0.0 {
                rest -= self.nodes[node];
                node += 1;
            }
        }
        node - self.leaves
    }
}
