//! The data of the seller that documents show. A document that is issued again uses the present data.

use serde::{Deserialize, Serialize};

use crate::model::config::{Config, Seller};

/// The name of replaced seller data among the committed inputs. No file name begins with `reissued:`.
pub const REISSUED_SELLER: &str = "reissued:seller";

/// The keys of `[seller]` that documents show, and the earlier names and VAT ids of the seller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SellerData {
    pub seller: Seller,
    pub legal_footer: Vec<String>,
    pub previous_identities: Vec<String>,
}

impl SellerData {
    pub fn of(config: &Config) -> Self {
        Self {
            seller: config.seller.clone(),
            legal_footer: config.branding.legal_footer.clone(),
            previous_identities: config.closing.previous_identities.clone(),
        }
    }

    /// Replaces the seller data of a configuration. Commits with this configuration record the replaced data.
    pub fn replace_in(self, config: &mut Config) {
        config.seller = self.seller;
        config.branding.legal_footer = self.legal_footer;
        config.closing.previous_identities = self.previous_identities;
        config.closing.has_replaced_seller = true;
    }

    /// The values that documents show and that differ from other data: the key of `[seller]`, the value of `self` and
    /// the other value.
    pub fn differences(&self, other: &Self) -> Vec<(&'static str, String, String)> {
        let of = |data: &Self| {
            let Seller { name, address, country, vat_id, tax_number, registrations, email, .. } = &data.seller;
            let text = |value: &Option<String>| value.clone().unwrap_or_default();
            let registrations: Vec<String> = registrations.iter().map(|(tax, id)| format!("{tax} {id}")).collect();
            [
                ("name", name.clone()),
                ("address", address.join(", ")),
                ("country", text(country)),
                ("vat_id", text(vat_id)),
                ("tax_number", text(tax_number)),
                ("registrations", registrations.join(", ")),
                ("email", text(email)),
                ("payment_terms", text(&data.seller.payment_terms)),
                ("payment_days", data.seller.payment_days.map(|days| days.to_string()).unwrap_or_default()),
                ("legal_footer", data.legal_footer.join(", ")),
            ]
        };
        let pairs = of(self).into_iter().zip(of(other));
        pairs.filter(|(one, other)| one.1 != other.1).map(|(one, other)| (one.0, one.1, other.1)).collect()
    }

    /// Whether a document of a seller with this VAT id, or with this name if it has none, is a document of this seller.
    /// A seller that gets a VAT id remains the same seller.
    pub fn has_identity(&self, identity: &str) -> bool {
        let own = [Some(&self.seller.name), self.seller.vat_id.as_ref()];
        own.into_iter().flatten().chain(&self.previous_identities).any(|one| one == identity)
    }
}
