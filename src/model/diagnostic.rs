//! Diagnostics of configuration and rules: the place, the text found, the text expected and the action to take.
//!
//! Readers collect [`Diagnostics`] and continue, so that one run reports every problem of every file.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The text of a configuration, accounts or rule file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceText {
    /// The path that messages show.
    pub name: String,
    pub text: String,
    /// The offset of each line. With these offsets, line numbers in a file of thousands of rules are found quickly.
    line_starts: Vec<usize>,
}

impl SourceText {
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        let text = text.into();
        let line_starts = [0].into_iter().chain(text.match_indices('\n').map(|(index, _)| index + 1)).collect();
        Arc::new(Self { name: name.into(), text, line_starts })
    }

    /// The line and column of the byte at `offset`, counted from one. The column counts characters.
    pub fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let offset = self.text.floor_char_boundary(offset.min(self.text.len()));
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts[line - 1];
        (line, self.text[start..offset].chars().count() + 1)
    }
}

/// A range of a source text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub source: Arc<SourceText>,
    pub span: Range<usize>,
}

impl Place {
    pub fn new(source: &Arc<SourceText>, span: Range<usize>) -> Self {
        Self { source: Arc::clone(source), span }
    }

    pub fn line(&self) -> usize {
        self.source.line_and_column(self.span.start).0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.source.line_and_column(self.span.start);
        write!(formatter, "{}:{line}:{column}", self.source.name)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

/// One error or warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    /// A stable name for the kind of problem, such as `rules::unknown_key`.
    pub code: &'static str,
    /// The problem, with the text found and the text expected: one sentence without a period.
    pub message: String,
    /// The places of the problem, each with a short text that is shown at the place. A second label can show the other
    /// side of a contradiction.
    pub labels: Vec<(Place, String)>,
    /// The action to take.
    pub hint: Option<String>,
}

impl Diagnostic {
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, message: message.into(), labels: Vec::new(), hint: None }
    }

    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    #[must_use]
    pub fn at(mut self, place: Place, label: impl Into<String>) -> Self {
        self.labels.push((place, label.into()));
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// All diagnostics of one load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The diagnostics in the order of files and lines, so that the output is reproducible.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.0.sort_by_key(|diagnostic| {
            let place = diagnostic.labels.first().map(|(place, _)| (place.source.name.clone(), place.span.start));
            (place, diagnostic.code, diagnostic.message.clone())
        });
        self.0
    }
}

/// The candidate that is most similar to a misspelt `word`; `None` if no candidate is similar enough.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}
