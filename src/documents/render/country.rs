//! The names of countries in English, German and French, from CLDR.

/// The names of countries: code, English, German and French name, separated by tabs.
const COUNTRIES: &str = include_str!("countries.tsv");

/// The name of a country in the language of the messages. Languages without a column use English. A code without a row
/// is its own name.
pub(super) fn country_name(locale: &str, code: &str) -> String {
    let column = match locale {
        "de" => 2,
        "fr" => 3,
        _ => 1,
    };
    let row = COUNTRIES.lines().find(|row| !row.starts_with('#') && row.split('\t').next() == Some(code));
    row.and_then(|row| row.split('\t').nth(column)).unwrap_or(code).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_have_names_in_three_languages() {
        let names = |code: &str| ["en", "de", "fr", "it"].map(|locale| country_name(locale, code));
        assert_eq!(names("DE"), ["Germany", "Deutschland", "Allemagne", "Germany"]);
        assert_eq!(names("GB"), ["United Kingdom", "Vereinigtes Königreich", "Royaume-Uni", "United Kingdom"]);
        assert_eq!(names("QX"), ["QX"; 4], "an unknown code");
        assert_eq!(names("#"), ["#"; 4]);
    }

    #[test]
    fn every_country_has_all_names() {
        let rows: Vec<&str> = COUNTRIES.lines().filter(|row| !row.starts_with('#')).collect();
        assert!(rows.len() > 240 && rows.is_sorted());
        for row in rows {
            let columns: Vec<&str> = row.split('\t').collect();
            assert!(columns.len() == 4 && columns.iter().all(|column| !column.is_empty()), "{row}");
            assert_eq!(columns[0].len(), 2, "{row}");
        }
    }
}
