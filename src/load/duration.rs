//! Lengths of time as people write them: `5m`, `1h`, `1h30m`.

/// Seconds; `None` where the text is not made of whole numbers, each with `s`, `m`, `h` or `d`.
pub fn parse_seconds(text: &str) -> Option<u32> {
    let mut total: u32 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let seconds = match tail.chars().next()? {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return None,
        };
        total = number.parse::<u32>().ok()?.checked_mul(seconds)?.checked_add(total)?;
        rest = tail[1..].trim_start();
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::parse_seconds;

    #[test]
    fn reads_what_people_write() {
        for (text, seconds) in [
            ("5m", Some(300)),
            ("1h", Some(3_600)),
            ("90m", Some(5_400)),
            ("1h30m", Some(5_400)),
            ("1h 30m", Some(5_400)),
            ("24h", Some(86_400)),
            ("1d", Some(86_400)),
            ("0s", Some(0)),
            ("", None),
            ("h", None),
            ("1", None),
            ("1.5h", None),
            ("-1h", None),
            ("1 hour", None),
            ("99999999999h", None),
            ("4294967295h", None),
            ("1ä", None),
        ] {
            assert_eq!(parse_seconds(text), seconds, "{text}");
        }
    }
}
