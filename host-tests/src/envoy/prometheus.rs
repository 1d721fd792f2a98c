//! The Prometheus text format, as far as tests ask about it: samples with labels.
//!
//! Invariant: label values are unescaped. A line this reader does not understand is skipped: tests look for what must be there.

use std::collections::BTreeMap;

/// One line of an exposition.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The metric's name, with `_bucket`, `_sum` or `_count` for histograms.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// All samples of an exposition.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// In the order of the text.
    pub samples: Vec<Sample>,
}

impl Metrics {
    /// Reads an exposition.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self { samples: text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect() }
    }

    /// The samples of one name.
    pub fn named<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m Sample> {
        self.samples.iter().filter(move |sample| sample.name == name)
    }

    /// The sum over all samples of `name` that carry (at least) these labels; `None` when there is none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let matching: Vec<f64> = self
            .named(name)
            .filter(|sample| {
                labels.iter().all(|(key, value)| sample.labels.get(*key).is_some_and(|have| have == value))
            })
            .map(|sample| sample.value)
            .collect();
        (!matching.is_empty()).then(|| matching.iter().sum())
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (name, rest) = match line.split_once('{') {
        Some((name, rest)) if !name.contains(' ') => (name, rest),
        _ => {
            let (name, value) = line.split_once(' ')?;
            return Some(Sample { name: name.to_owned(), labels: BTreeMap::new(), value: value.trim().parse().ok()? });
        }
    };
    let (labels, value) = labels(rest)?;
    Some(Sample { name: name.to_owned(), labels, value: value.trim().parse().ok()? })
}

/// Reads `key="value",...}` and returns what follows the brace.
fn labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (key, after) = rest.split_once("=\"")?;
        let (mut value, mut escaped, mut end) = (String::new(), false, None);
        for (index, character) in after.char_indices() {
            match (escaped, character) {
                (true, 'n') => value.push('\n'),
                (true, other) => value.push(other),
                (false, '\\') => {}
                (false, '"') => {
                    end = Some(index + 1);
                    break;
                }
                (false, other) => value.push(other),
            }
            escaped = !escaped && character == '\\';
        }
        labels.insert(key.to_owned(), value);
        rest = after.get(end?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_unescaped_and_sums_cover_all_matching_samples() {
        let metrics = Metrics::parse(
            "# TYPE a counter\na{x=\"1\",y=\"q\\\"\\\\ {z}, é\"} 2\na{x=\"1\",y=\"other\"} 3.5\nb 7\nc{} 1\n",
        );
        assert_eq!(metrics.sum("a", &[("x", "1")]), Some(5.5));
        assert_eq!(metrics.sum("a", &[("y", "q\"\\ {z}, é")]), Some(2.0));
        assert_eq!(metrics.sum("a", &[("x", "2")]), None);
        assert_eq!(metrics.sum("b", &[]), Some(7.0));
        assert_eq!(metrics.sum("c", &[]), Some(1.0));
    }
}
