//! The taxes of a line, and the tax on net amounts.

use std::collections::BTreeMap;

use super::money::{Amount, Percent};

/// A tax category of EN 16931 (UNTDID 5305).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaxCategory {
    Standard,
    Zero,
    Exempt,
    ReverseCharge,
    Export,
    OutOfScope,
}

impl TaxCategory {
    pub const CODES: [(&'static str, Self); 6] = [
        ("S", Self::Standard),
        ("Z", Self::Zero),
        ("E", Self::Exempt),
        ("AE", Self::ReverseCharge),
        ("G", Self::Export),
        ("O", Self::OutOfScope),
    ];

    /// Whether the invoice must identify the seller to the tax office (BR-S-02). Only the category outside the scope of
    /// tax does not require this.
    pub fn needs_seller(self) -> bool {
        self != Self::OutOfScope
    }

    pub fn code(self) -> &'static str {
        Self::CODES.iter().find(|(_, category)| *category == self).map_or("O", |(code, _)| code)
    }

    /// The exemption reason of rules without a reason of their own. The standard and zero rates have no reason.
    pub fn default_exemption_reason(self) -> Option<&'static str> {
        match self {
            Self::Standard | Self::Zero => None,
            Self::Exempt => Some("Exempt from tax"),
            Self::ReverseCharge => Some("Reverse charge"),
            Self::Export => Some("Export outside the EU"),
            Self::OutOfScope => Some("Not subject to tax"),
        }
    }
}

/// One tax of a tax treatment. Tax breakdowns are sorted by rate, and then by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaxComponent {
    /// The rate in percent.
    pub rate: Percent,
    /// The name on the invoice, such as VAT, GST or USt.
    pub name: String,
    /// Whether the taxable amount includes the other taxes of the treatment. Only the last tax can be compound.
    pub is_compound: bool,
}

/// The taxes that apply together to a line. Most treatments have one tax.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaxTreatment {
    /// The category of EN 16931 of all taxes. Only the standard category can have several taxes.
    pub category: TaxCategory,
    pub taxes: Vec<TaxComponent>,
    pub exemption_reason: Option<String>,
}

/// The key of a tax group: all amounts of a document with the same tax (EN 16931: BG-23).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaxGroup {
    pub category: TaxCategory,
    pub tax: TaxComponent,
    pub exemption_reason: Option<String>,
}

/// The amounts of a tax group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaxAmounts {
    pub taxable: Amount,
    pub tax: Amount,
}

impl TaxTreatment {
    /// A treatment with one tax.
    pub fn of_one(category: TaxCategory, rate: Percent, name: &str, exemption_reason: Option<String>) -> Self {
        let tax = TaxComponent { rate, name: name.to_owned(), is_compound: false };
        Self { category, taxes: vec![tax], exemption_reason }
    }

    /// The text that identifies the treatment, such as `VAT S 20 %` or `GST S 5 % + QST S 9.975 %`.
    pub fn text(&self) -> String {
        let code = self.category.code();
        let taxes = self.taxes.iter().map(|tax| {
            // The separators of the text are escaped in names, so that different treatments have different texts.
            let name = tax.name.replace('\\', "\\\\").replace('+', "\\+").replace(',', "\\,");
            format!("{name} {code} {} %{}", tax.rate, if tax.is_compound { " compound" } else { "" })
        });
        let taxes = taxes.collect::<Vec<_>>().join(" + ");
        let reason = self.exemption_reason.as_ref().map(|reason| format!(", {reason}")).unwrap_or_default();
        taxes + &reason
    }

    /// Whether the treatment has a single tax, with this category and rate.
    pub fn is_only(&self, category: TaxCategory, rate: Percent) -> bool {
        matches!(self.taxes.as_slice(), [tax] if self.category == category && tax.rate == rate)
    }

    /// The treatment without the names of its taxes, which a restatement can change.
    pub fn without_names(&self) -> Self {
        let taxes = self.taxes.iter().map(|tax| TaxComponent { name: String::new(), ..tax.clone() });
        Self { taxes: taxes.collect(), ..self.clone() }
    }
}

/// The taxable amount and the tax of each tax group, from net amounts by treatment. The tax of a group is rounded once.
/// `None` if an amount is too large.
///
/// A compound tax applies to the net amount and the other taxes of its treatment. Each of these taxes is rounded on the
/// net amount of the treatment. `tax_breakdown` computes the same.
pub fn tax_amounts(
    net_amounts: &BTreeMap<&TaxTreatment, Amount>,
    places: u32,
) -> Option<BTreeMap<TaxGroup, TaxAmounts>> {
    let mut groups: BTreeMap<TaxGroup, TaxAmounts> = BTreeMap::new();
    for (treatment, net) in net_amounts {
        let mut with_taxes = *net;
        for tax in treatment.taxes.iter().filter(|tax| !tax.is_compound) {
            with_taxes = with_taxes.checked_add(tax_on(*net, tax.rate, places)?)?;
        }
        for tax in &treatment.taxes {
            let (category, exemption_reason) = (treatment.category, treatment.exemption_reason.clone());
            let amounts = groups.entry(TaxGroup { category, tax: tax.clone(), exemption_reason }).or_default();
            let taxable = if tax.is_compound { with_taxes } else { *net };
            amounts.taxable = amounts.taxable.checked_add(taxable)?;
        }
    }
    for (group, amounts) in &mut groups {
        amounts.tax = tax_on(amounts.taxable, group.tax.rate, places)?;
    }
    Some(groups)
}

fn tax_on(amount: Amount, rate: Percent, places: u32) -> Option<Amount> {
    amount.percentage(rate, places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tax(name: &str, rate: &str, is_compound: bool) -> TaxComponent {
        TaxComponent { rate: Percent::parse_exact(rate).unwrap(), name: name.to_owned(), is_compound }
    }

    fn treatment(taxes: &[TaxComponent]) -> TaxTreatment {
        TaxTreatment { category: TaxCategory::Standard, taxes: taxes.to_vec(), exemption_reason: None }
    }

    /// Each tax group as `name taxable tax`.
    fn groups(nets: &[(&TaxTreatment, &str)]) -> Vec<String> {
        let nets = nets.iter().map(|(treatment, net)| (*treatment, Amount::parse_exact(net).unwrap())).collect();
        let groups = tax_amounts(&nets, 2).unwrap();
        groups
            .iter()
            .map(|(group, of)| format!("{} {} {}", group.tax.name, of.taxable.to_text(2), of.tax.to_text(2)))
            .collect()
    }

    /// 10.10 has 0.505 of GST, rounded to 0.51, and 1.007475 of QST, rounded to 1.01.
    #[test]
    fn each_tax_is_rounded_on_its_own_group() {
        let both = treatment(&[tax("GST", "5", false), tax("QST", "9.975", false)]);
        assert_eq!(groups(&[(&both, "10.10")]), ["GST 10.10 0.51", "QST 10.10 1.01"]);
        // With 0.10 that has only GST, GST is 5 % of 10.20: 0.51 once. Rounded by treatment it would be 0.51 + 0.01.
        let federal = treatment(&[tax("GST", "5", false)]);
        assert_eq!(groups(&[(&both, "10.10"), (&federal, "0.10")]), ["GST 10.20 0.51", "QST 10.10 1.01"]);
        // CGST and SGST have the same rate and different names.
        let india = treatment(&[tax("CGST", "9", false), tax("SGST", "9", false)]);
        assert_eq!(groups(&[(&india, "1.05")]), ["CGST 1.05 0.09", "SGST 1.05 0.09"]);
    }

    /// 10.10 has 0.505 of GST, rounded to 0.51. QST of 9.5 % on 10.61 is 1.00795, rounded to 1.01. On 10.10 alone it
    /// would be 0.96.
    #[test]
    fn a_compound_tax_applies_to_the_other_taxes() {
        let both = treatment(&[tax("GST", "5", false), tax("QST", "9.5", true)]);
        assert_eq!(groups(&[(&both, "10.10")]), ["GST 10.10 0.51", "QST 10.61 1.01"]);
        assert_eq!(both.text(), "GST S 5 % + QST S 9.5 % compound");
    }

    #[test]
    fn different_treatments_have_different_texts() {
        let two = treatment(&[tax("A", "5", false), tax("B", "6", false)]);
        let one = treatment(&[tax("A S 5 % + B", "6", false)]);
        assert_eq!([two.text(), one.text()], ["A S 5 % + B S 6 %", r"A S 5 % \+ B S 6 %"]);
        let exempt = TaxTreatment::of_one(TaxCategory::Exempt, Percent::ZERO, "VAT", Some("Education".to_owned()));
        assert_eq!(exempt.text(), "VAT E 0 %, Education");
    }
}
