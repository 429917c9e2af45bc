//! Mistakes in a configuration, reported all at once.

use std::fmt;

/// One mistake: where it stands and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it came from: `file /etc/orfeas.toml, key engine`, `environment variable ORFEAS_ENGINE`, `flag --engine`.
    pub origin: String,
    /// What is wrong and what is allowed. Never holds a secret.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)
    }
}

/// Every mistake of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The mistakes, in the order they were found; never empty.
    pub mistakes: Vec<Mistake>,
}

impl ConfigErrors {
    /// The mistakes of several services' configurations, each once: what they share they all report.
    #[must_use]
    pub fn of_all(errors: impl IntoIterator<Item = Self>) -> Self {
        let mut mistakes: Vec<Mistake> = Vec::new();
        for mistake in errors.into_iter().flat_map(|errors| errors.mistakes) {
            if !mistakes.contains(&mistake) {
                mistakes.push(mistake);
            }
        }
        Self { mistakes }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mistakes.len() {
            1 => f.write_str("the configuration has a mistake:")?,
            count => write!(f, "the configuration has {count} mistakes:")?,
        }
        for mistake in &self.mistakes {
            write!(f, "\n  - {mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// The nearest of some names, if one is near enough to be what was meant.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.len() / 4 + 1)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_its_neighbour() {
        let known = ["nats_url", "nats_user", "engine"];
        assert_eq!(nearest("nat_url", known), Some("nats_url"));
        assert_eq!(nearest("engnie", known), Some("engine"));
        assert_eq!(nearest("postgres", known), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
