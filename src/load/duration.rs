//! Durations in configuration and rules: `5m`, `1h30m`, `2 hours`, `32d`.

use jiff::{Span, SpanRelativeTo};

/// The whole seconds of a duration. A day has 24 hours in every time zone.
///
/// The result is `None` if the text is not a duration, is negative or has a fraction of a second. Months and years are
/// also invalid, because their length varies.
pub fn parse_seconds(text: &str) -> Option<u32> {
    let span: Span = text.trim().parse().ok()?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    if duration.subsec_nanos() != 0 { None } else { u32::try_from(duration.as_secs()).ok() }
}

#[cfg(test)]
mod tests {
    use super::parse_seconds;

    #[test]
    fn durations_are_whole_seconds() {
        for (text, seconds) in [
            ("5m", Some(300)),
            ("1h", Some(3_600)),
            ("90m", Some(5_400)),
            ("1h30m", Some(5_400)),
            (" 1h 30m ", Some(5_400)),
            ("1.5h", Some(5_400)),
            ("24h", Some(86_400)),
            ("1d", Some(86_400)),
            ("1w", Some(7 * 86_400)),
            ("1 hour", Some(3_600)),
            ("2 hours", Some(7_200)),
            ("0s", Some(0)),
            ("", None),
            ("h", None),
            ("1", None),
            ("-1h", None),
            ("500ms", None),
            ("5M", None),
            ("1mo", None),
            ("1y", None),
            ("two hours", None),
            ("99999999999h", None),
            ("4294967295h", None),
            ("4294967296s", None),
            ("1ä", None),
        ] {
            assert_eq!(parse_seconds(text), seconds, "{text}");
        }
    }
}
