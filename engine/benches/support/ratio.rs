//! Ratios against what they should be.

/// The median of some rounds' ratios, with the least and the most.
pub struct Ratio {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

/// Which way a ratio should go.
#[derive(Clone, Copy)]
pub enum Better {
    Higher,
    Lower,
}

impl Ratio {
    pub fn of(values: &[f64]) -> Ratio {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        Ratio {
            median: values[values.len() / 2],
            least: values[0],
            most: values[values.len() - 1],
        }
    }

    /// Prints the ratio beside the gate it must pass and the goal.
    pub fn print(&self, what: &str, better: Better, gate: f64, goal: f64) {
        let reaches = |bound: f64| match better {
            Better::Higher => self.median >= bound,
            Better::Lower => self.median <= bound,
        };
        let verdict = match (reaches(gate), reaches(goal)) {
            (_, true) => "goal reached",
            (true, false) => "gate passed",
            (false, false) => "GATE MISSED",
        };
        println!(
            "{what:<66} {:>9.3} [{:.3} - {:.3}]  gate {gate}, goal {goal}: {verdict}",
            self.median, self.least, self.most
        );
    }
}
