//! What of a text may leave while it is still being written: whole but for its edges, and nothing of a stop sequence.
//!
//! It knows no tokens and no models. Invariant: the pieces that left are together the same text however it was cut into
//! pieces: what was written up to the first stop sequence, without white space at its ends.

/// A text on its way out.
pub struct Outlet {
    stops: Vec<String>,
    /// Written, but may yet turn out to be a stop sequence or the end's white space.
    held: String,
    /// What left.
    text: String,
    stopped: bool,
}

impl Outlet {
    /// Ends the text before any of `stops`, none of which is empty.
    pub fn new(stops: Vec<String>) -> Outlet {
        Outlet { stops, held: String::new(), text: String::new(), stopped: false }
    }

    /// Takes in more text; gives what may leave.
    pub fn push(&mut self, more: &str) -> String {
        if self.stopped {
            return String::new();
        }
        self.held.push_str(more);
        let found =
            self.stops.iter().filter_map(|stop| Some((stop, self.held.find(stop.as_str())?)));
        // The one that is whole first, as it would be found letter by letter.
        let first = found.map(|(stop, at)| (at + stop.len(), at)).min();
        if let Some((_, at)) = first {
            self.stopped = true;
            self.held.truncate(at);
            return self.leave(at);
        }
        let free = self.held.len() - self.begun();
        self.leave(free)
    }

    /// What is left at the end of the text.
    pub fn finish(&mut self) -> String {
        self.leave(self.held.len())
    }

    /// Whether a stop sequence came.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// All that left.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Bytes at the end of what is held that may be the beginning of a stop sequence: the most.
    fn begun(&self) -> usize {
        let begins = |stop: &String| {
            let ends = stop.char_indices().map(|(at, _)| at).skip(1);
            ends.filter(|&at| self.held.ends_with(&stop[..at])).max().unwrap_or(0)
        };
        self.stops.iter().map(begins).max().unwrap_or(0)
    }

    /// Lets the first bytes of what is held leave, but for white space at the text's ends.
    fn leave(&mut self, free: usize) -> String {
        let kept = self.held[..free].trim_end().len();
        let rest = self.held.split_off(kept);
        let leaving = std::mem::replace(&mut self.held, rest);
        let leaving = match self.text.is_empty() {
            true => leaving.trim_start().to_string(),
            false => leaving,
        };
        self.text.push_str(&leaving);
        leaving
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What leaves of a text that comes in such pieces, and whether it was stopped.
    fn out(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let mut outlet = Outlet::new(stops.iter().map(|stop| stop.to_string()).collect());
        let mut all = String::new();
        for piece in pieces {
            all.push_str(&outlet.push(piece));
        }
        all.push_str(&outlet.finish());
        assert_eq!(all, outlet.text());
        (all, outlet.stopped())
    }

    #[test]
    fn a_text_leaves_the_same_however_it_is_cut() {
        let text = " \n The hen, STONE.\n\nSTOP and more  ";
        for (stops, whole, stopped) in [
            (&[][..], "The hen, STONE.\n\nSTOP and more", false),
            (&["STOP"], "The hen, STONE.", true),
            (&["more", "\n\n"], "The hen, STONE.", true),
            (&["en, STONE.", "n"], "The he", true),
            (&["STONY", "e  ?"], "The hen, STONE.\n\nSTOP and more", false),
        ] {
            let by_letter: Vec<String> = text.chars().map(String::from).collect();
            let by_letter: Vec<&str> = by_letter.iter().map(String::as_str).collect();
            for at in 1..text.len() {
                let (left, right) = text.split_at(at);
                assert_eq!(out(stops, &[left, right]), (whole.into(), stopped), "{at}");
            }
            assert_eq!(out(stops, &by_letter), (whole.into(), stopped));
        }
    }

    #[test]
    fn what_can_leave_leaves_at_once() {
        let mut outlet = Outlet::new(vec!["\nUser:".into(), "→x".into()]);
        assert_eq!(outlet.push("a b"), "a b");
        assert_eq!(outlet.push(" "), "");
        assert_eq!(outlet.push("c\nUse"), " c");
        assert_eq!(outlet.push("ful →"), "\nUseful");
        assert_eq!(outlet.push("y"), " →y");
        assert_eq!(outlet.push("→xz"), "");
        assert!(outlet.stopped() && outlet.push("no more").is_empty());
    }

    #[test]
    fn white_space_alone_is_no_text() {
        assert_eq!(out(&[], &[" ", "\n", "\t"]), (String::new(), false));
        assert_eq!(out(&["x"], &[" ", "x"]), (String::new(), true));
    }
}
