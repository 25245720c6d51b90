//! Diagnostics as text: file, line and column, excerpt and hint.

use std::fmt;
use std::sync::Arc;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan,
};

use crate::model::diagnostic::{Diagnostic, Place, Severity, SourceText};

/// All diagnostics as text for a terminal of `width` columns, separated by blank lines.
pub fn render(diagnostics: &[Diagnostic], color: bool, width: usize) -> String {
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(width)
        .with_context_lines(1)
        .without_syntax_highlighting()
        .with_show_related_as_nested(true);
    let mut text = String::new();
    for diagnostic in diagnostics {
        if !text.is_empty() {
            text.push('\n');
        }
        let report = Report::new(diagnostic);
        // Writing to a string does not fail. If the handler fails, only the message is shown.
        if handler.render_report(&mut text, &report).is_err() {
            text.push_str(&diagnostic.message);
            text.push('\n');
        }
    }
    text
}

/// A diagnostic as a report of miette. A report shows one file, so labels in other files become separate reports.
struct Report<'a> {
    severity: miette::Severity,
    code: Option<&'a str>,
    message: &'a str,
    hint: Option<&'a str>,
    file: Option<Excerpt<'a>>,
    labels: Vec<(&'a Place, Option<&'a str>)>,
    others: Vec<Report<'a>>,
}

impl<'a> Report<'a> {
    fn new(diagnostic: &'a Diagnostic) -> Self {
        let first = diagnostic.labels.first().map(|(place, _)| &place.source);
        let is_first = |place: &Place| first.is_some_and(|first| Arc::ptr_eq(first, &place.source));
        let (labels, others): (Vec<_>, Vec<_>) = diagnostic.labels.iter().partition(|(place, _)| is_first(place));
        Self {
            severity: match diagnostic.severity {
                Severity::Error => miette::Severity::Error,
                Severity::Warning => miette::Severity::Warning,
            },
            code: Some(diagnostic.code),
            message: &diagnostic.message,
            hint: diagnostic.hint.as_deref(),
            file: first.map(|source| Excerpt(source)),
            labels: labels.into_iter().map(|(place, label)| (place, Some(label.as_str()))).collect(),
            others: others.into_iter().map(|(place, label)| Self::other(place, label)).collect(),
        }
    }

    /// A report for a label in another file. Its message is the label.
    fn other(place: &'a Place, label: &'a str) -> Self {
        Self {
            severity: miette::Severity::Advice,
            code: None,
            message: label,
            hint: None,
            file: Some(Excerpt(&place.source)),
            labels: vec![(place, None)],
            others: Vec::new(),
        }
    }
}

impl fmt::Debug for Report<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message)
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message)
    }
}

impl std::error::Error for Report<'_> {}

impl miette::Diagnostic for Report<'_> {
    fn code<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.code.map(|code| Box::new(code) as Box<dyn fmt::Display + 'b>)
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(self.severity)
    }

    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.hint.map(|hint| Box::new(hint) as Box<dyn fmt::Display + 'b>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.file.as_ref().map(|file| file as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if self.labels.is_empty() {
            return None;
        }
        Some(Box::new(self.labels.iter().enumerate().map(|(index, (place, label))| {
            let label = label.map(str::to_owned);
            let span = visible(place);
            if index == 0 {
                LabeledSpan::new_primary_with_span(label, span)
            } else {
                LabeledSpan::new_with_span(label, span)
            }
        })))
    }

    fn related<'b>(&'b self) -> Option<Box<dyn Iterator<Item = &'b dyn miette::Diagnostic> + 'b>> {
        if self.others.is_empty() {
            return None;
        }
        Some(Box::new(self.others.iter().map(|other| other as &dyn miette::Diagnostic)))
    }
}

/// The start and length of a label. Miette shows no label after the last character of a text without a final line
/// break. Such a label moves to the last character.
fn visible(place: &Place) -> (usize, usize) {
    let text = place.source.text.as_str();
    match text.chars().next_back() {
        Some(last) if last != '\n' && place.span.start >= text.len() => (text.len() - last.len_utf8(), last.len_utf8()),
        _ => (place.span.start, place.span.len()),
    }
}

/// A borrowed text with its name.
struct Excerpt<'a>(&'a SourceText);

impl SourceCode for Excerpt<'_> {
    fn read_span<'b>(
        &'b self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn miette::SpanContents<'b> + 'b>, MietteError> {
        let contents = self.0.text.as_str().read_span(span, lines_before, lines_after)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.0.name.clone(),
            contents.data(),
            *contents.span(),
            contents.line(),
            contents.column(),
            contents.line_count(),
        )))
    }
}
