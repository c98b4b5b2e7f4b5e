//! What is wrong with a configuration, in words for its operator: which file, which key, what, and what to do. A
//! problem never holds the value of a secret.

use std::cell::RefCell;
use std::fmt;

/// One mistake, or one warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file as the operator named it, or `environment variable NAME`, or `command line --flag`.
    pub file: String,
    /// The dotted path of the key; empty when the whole file is meant.
    pub key: String,
    /// What is wrong.
    pub fault: String,
    /// What to do; empty when the fault says it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if !self.key.is_empty() {
            write!(f, "  {}", self.key)?;
        }
        write!(f, "  {}", self.fault)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

/// Every mistake of a configuration, in the order in which the files were read; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.0.len() == 1 { "mistake" } else { "mistakes" };
        write!(f, "config: {} {noun}", self.0.len())?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}

/// What is wrong with a value, before it is known whose value it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) fault: String,
    pub(super) remedy: String,
}

impl Fault {
    pub(super) fn new(fault: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { fault: fault.into(), remedy: remedy.into() }
    }

    /// From a sentence of the form `fault; remedy`.
    pub(super) fn sentence(text: &str) -> Self {
        let (fault, remedy) = text.split_once("; ").unwrap_or((text, ""));
        Self::new(fault, remedy)
    }
}

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: String,
    pub(super) key: String,
}

impl Place {
    pub(super) fn problem(&self, fault: Fault) -> Problem {
        Problem { file: self.file.clone(), key: self.key.clone(), fault: fault.fault, remedy: fault.remedy }
    }
}

/// Collects what is found while everything is read.
#[derive(Debug, Default)]
pub(super) struct Report {
    mistakes: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl Report {
    /// Notes a mistake; the same one only once, since a provider file is read again for each one that extends it.
    pub(super) fn mistake(&self, problem: Problem) {
        note(&self.mistakes, problem);
    }

    pub(super) fn warning(&self, problem: Problem) {
        note(&self.warnings, problem);
    }

    pub(super) fn count(&self) -> usize {
        self.mistakes.borrow().len()
    }

    /// Mistakes and warnings.
    pub(super) fn finish(self) -> (Vec<Problem>, Vec<Problem>) {
        (self.mistakes.into_inner(), self.warnings.into_inner())
    }
}

fn note(list: &RefCell<Vec<Problem>>, problem: Problem) {
    let mut list = list.borrow_mut();
    if !list.contains(&problem) {
        list.push(problem);
    }
}

/// The text in backticks, on one line and of bounded length.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    shown = shown.replace("\\\"", "\"").replace("\\'", "'").replace("\\\\", "\\");
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// A URL in backticks, unless it may hold a password.
pub(super) fn quoted_url(text: &str) -> String {
    if text.contains('@') { "it".to_owned() } else { quoted(text) }
}

/// `a`, `b` or `c`.
pub(super) fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(quoted).collect();
    match words.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// The remedy for a name that is not known: the nearest known one, or all of them when they are few.
pub(super) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let distance = |other: &&str| strsim::damerau_levenshtein(&name.to_lowercase(), &other.to_lowercase());
    let nearest = known.iter().copied().min_by_key(|other| distance(other));
    match nearest {
        Some(nearest) if distance(&nearest) <= (name.chars().count().max(3) / 3).min(4) => {
            format!("did you mean {}?", quoted(nearest))
        }
        _ if known.is_empty() || known.len() > 16 => String::new(),
        _ => format!("known: {}", known.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested() {
        fn check(name: &str, known: &[&str], expected: &str) {
            assert_eq!(did_you_mean(name, known.iter().copied()), expected, "{name:?}");
        }
        check("githb", &["github", "google"], "did you mean `github`?");
        check("Listen", &["listen"], "did you mean `listen`?");
        check("lsiten", &["listen"], "did you mean `listen`?");
        check("zzz", &["a", "b"], "known: `a`, `b`");
        check("zzz", &[], "");
        check("ab", &["cd"], "known: `cd`");
    }

    #[test]
    fn quoted_text_stays_on_its_line() {
        fn check(text: &str, expected: &str) {
            assert_eq!(quoted(text), expected, "{text:?}");
        }
        check("a\nb", "`a\\nb`");
        check("it's \"so\" \\.", "`it's \"so\" \\.`");
        check(&"x".repeat(61), &format!("`{}…`", "x".repeat(60)));
    }

    #[test]
    fn a_mistake_is_noted_once() {
        let report = Report::default();
        let place = Place { file: "a.toml".into(), key: "k".into() };
        report.mistake(place.problem(Fault::sentence("is wrong; mend it")));
        report.mistake(place.problem(Fault::new("is wrong", "mend it")));
        assert_eq!(report.count(), 1);
        assert_eq!(Problems(report.finish().0).to_string(), "config: 1 mistake\n  a.toml  k  is wrong; mend it");
    }
}
