//! The data of an account that documents show. A document that is issued again uses the present data, and a closed
//! period keeps everything else from its close.

use serde::{Deserialize, Serialize};

/// The name of replaced account data among the committed inputs. No file name begins with `reissued:`.
pub const REISSUED_ACCOUNTS: &str = "reissued:accounts";

/// The name of replaced number prefixes among the committed inputs: invoices, then credit notes, one a line.
pub const REISSUED_PREFIXES: &str = "reissued:prefixes";

/// The data of an account that documents show, and the data that decides its taxes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountData {
    pub name: String,
    pub address: Vec<String>,
    pub country: Option<String>,
    pub vat_id: Option<String>,
    /// The recorded answer of VIES: whether the VAT id is valid, and the date of the check.
    pub vies: Option<(bool, String)>,
    pub email: Option<String>,
    pub language: Option<String>,
    pub purchase_order: Option<String>,
    pub cost_centres: Vec<String>,
    pub payment_terms: Option<String>,
    pub payment_days: Option<u16>,
    pub tax_profile: Option<String>,
}

impl AccountData {
    /// The values that differ from other data: the key of the accounts file, the value of `self` and the other value.
    pub fn differences(&self, other: &Self) -> Vec<(&'static str, String, String)> {
        let of = |data: &Self| {
            let text = |value: &Option<String>| value.clone().unwrap_or_default();
            let vies =
                data.vies.as_ref().map(|(valid, checked_on)| format!("valid = {valid}, checked on {checked_on}"));
            [
                ("name", data.name.clone()),
                ("address", data.address.join(", ")),
                ("country", text(&data.country)),
                ("vat_id", text(&data.vat_id)),
                ("vies", vies.unwrap_or_default()),
                ("email", text(&data.email)),
                ("language", text(&data.language)),
                ("purchase_order", text(&data.purchase_order)),
                ("cost_centres", data.cost_centres.join(", ")),
                ("payment_terms", text(&data.payment_terms)),
                ("payment_days", data.payment_days.map(|days| days.to_string()).unwrap_or_default()),
                ("tax_profile", text(&data.tax_profile)),
            ]
        };
        let pairs = of(self).into_iter().zip(of(other));
        pairs.filter(|(one, other)| one.1 != other.1).map(|(one, other)| (one.0, one.1, other.1)).collect()
    }
}
