//! The formats of VAT ids, by country prefix. A valid format does not prove that an id exists; only VIES confirms that.

/// The formats by prefix. `#` is a digit, `@` a letter, `*` a digit or letter; any other character is itself.
const FORMS: [(&str, &[&str]); 31] = [
    ("AT", &["U########"]),
    ("BE", &["0#########", "1#########"]),
    ("BG", &["#########", "##########"]),
    ("CHE", &["#########", "#########MWST", "#########TVA", "#########IVA"]),
    ("CY", &["########@"]),
    ("CZ", &["########", "#########", "##########"]),
    ("DE", &["#########"]),
    ("DK", &["########"]),
    ("EE", &["#########"]),
    ("EL", &["#########"]),
    ("ES", &["@########", "@#######@", "########@"]),
    ("FI", &["########"]),
    ("FR", &["**#########"]),
    ("GB", &["#########", "############", "GD###", "HA###"]),
    ("HR", &["###########"]),
    ("HU", &["########"]),
    ("IE", &["#######@", "#######@@", "#*#####@"]),
    ("IT", &["###########"]),
    ("LT", &["#########", "############"]),
    ("LU", &["########"]),
    ("LV", &["###########"]),
    ("MT", &["########"]),
    ("NL", &["#########B##"]),
    ("NO", &["#########", "#########MVA"]),
    ("PL", &["##########"]),
    ("PT", &["#########"]),
    ("RO", &["##", "###", "####", "#####", "######", "#######", "########", "#########", "##########"]),
    ("SE", &["############"]),
    ("SI", &["########"]),
    ("SK", &["##########"]),
    ("XI", &["#########", "############", "GD###", "HA###"]),
];

/// The id in capitals, without spaces, points and dashes.
pub(crate) fn canonical(written: &str) -> String {
    let characters = written.chars().filter(|character| !matches!(character, ' ' | '.' | '-' | '\u{a0}'));
    characters.collect::<String>().to_ascii_uppercase()
}

/// The expected format; `None` if `canonical` is a valid VAT id. For a country without a listed format, 2 to 20 letters
/// and digits are valid.
pub(crate) fn expected_form(canonical: &str, country: Option<&str>) -> Option<String> {
    let known = FORMS.iter().find(|(prefix, _)| canonical.starts_with(prefix));
    if let Some((prefix, forms)) = known {
        let rest = &canonical[prefix.len()..];
        if forms.iter().any(|form| matches(form, rest)) {
            return None;
        }
        return Some(format!("{prefix} and then {}", forms.join(" or ")));
    }
    let of_country = country.map(|country| if country == "GR" { "EL" } else { country });
    let of_country = of_country.map(|country| if country == "CH" { "CHE" } else { country });
    if let Some((prefix, forms)) = of_country.and_then(|country| FORMS.iter().find(|(prefix, _)| *prefix == country)) {
        return Some(format!("{prefix} and then {}", forms.join(" or ")));
    }
    let is_any = (2..=20).contains(&canonical.len()) && canonical.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_any { None } else { Some("2 to 20 letters and digits".to_owned()) }
}

fn matches(form: &str, text: &str) -> bool {
    form.len() == text.len()
        && form.bytes().zip(text.bytes()).all(|(form, byte)| match form {
            b'#' => byte.is_ascii_digit(),
            b'@' => byte.is_ascii_uppercase(),
            b'*' => byte.is_ascii_digit() || byte.is_ascii_uppercase(),
            itself => byte == itself,
        })
}

/// Whether a text is a country code of ISO 3166 in two capital letters.
pub(crate) fn is_country(code: &str) -> bool {
    code.len() == 2 && COUNTRIES.split(' ').any(|known| known == code)
}

const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR \
    BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET \
    FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ \
    IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML \
    MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS \
    PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL \
    TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XI YE YT ZA ZM ZW";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_format_of_their_country() {
        for good in [
            "ATU12345678",
            "BE0123456789",
            "CHE123456789MWST",
            "DE123456789",
            "EL123456789",
            "ESX1234567X",
            "ESB12345678",
            "FR65000000826",
            "FRXX999999999",
            "GB123456789",
            "IE1234567WA",
            "IT12345678901",
            "NL123456789B01",
            "RO12",
            "US12-3456789",
        ] {
            assert_eq!(expected_form(&canonical(good), None), None, "{good}");
        }
        for (wrong, country) in [
            ("ATX12345678", None),
            ("BE2123456789", None),
            ("DE12345678", None),
            ("DE12345678A", None),
            ("FR1234", None),
            ("123456789", Some("DE")),
            ("123456789", Some("GR")),
            ("X", None),
            ("US_1", None),
        ] {
            assert!(expected_form(&canonical(wrong), country).is_some(), "{wrong}");
        }
        assert_eq!(canonical("de 123.456-789"), "DE123456789");
        assert_eq!(expected_form("DE12345678", None).unwrap(), "DE and then #########");
        assert_eq!(
            expected_form("123", Some("CH")).unwrap(),
            "CHE and then ######### or #########MWST or \
             #########TVA or #########IVA"
        );
    }

    #[test]
    fn countries_are_those_of_iso_3166() {
        assert!(is_country("FR") && is_country("GB") && is_country("JP"));
        assert!(
            !is_country("UK") && !is_country("fr") && !is_country("") && !is_country("F ") && !is_country("Germany")
        );
    }
}
