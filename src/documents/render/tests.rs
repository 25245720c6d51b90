//! Tests of pages, with ordinary and hostile contents.

use std::collections::BTreeMap;

use crate::model::money::Cost;
use jiff::civil::date;

use super::*;
use crate::model::config::Seller;

/// A hostile name with markup, another text direction, a direction override and template syntax.
pub(crate) const HOSTILE: &str = "<script>alert('x')</script> \u{202e}נועה & \"Søn\" 🚀 {{ number }}";

pub(crate) fn line(number: u32, quantity: &str, unit_price: &str, net_amount: &str) -> InvoiceLine {
    InvoiceLine {
        number,
        project: None,
        sku: "CMP-M1".to_owned(),
        service: Some("Compute".to_owned()),
        description: "Virtual machine".to_owned(),
        line_by: vec![LineBy { name: "flavor".to_owned(), value: "m1.small".to_owned() }],
        charge_kind: None,
        charge_period_start: date(2026, 10, 1),
        charge_period_end: date(2026, 11, 1),
        quantity: quantity.to_owned(),
        unit: "instance-hour".to_owned(),
        unit_price: Some(unit_price.to_owned()),
        unit_price_per: None,
        factored_price: None,
        net_amount: net_amount.to_owned(),
        taxes: Vec::new(),
        one_off: None,
        correction: None,
    }
}

pub(crate) fn invoice() -> InvoicePage {
    let volume = InvoiceLine {
        sku: "STO-VOL".to_owned(),
        service: Some("Block storage".to_owned()),
        description: "Volume, SSD".to_owned(),
        line_by: Vec::new(),
        unit: "GiB-month".to_owned(),
        ..line(2, "12500.5", "0.08", "1000.04")
    };
    let traffic = InvoiceLine {
        sku: "NET-OUT".to_owned(),
        service: Some("Network".to_owned()),
        description: "Traffic to the internet".to_owned(),
        line_by: vec![LineBy { name: "region".to_owned(), value: "eu-west".to_owned() }],
        unit: "GB".to_owned(),
        unit_price_per: Some("1000".to_owned()),
        ..line(3, "1500.123456789", "5.4", "8.10")
    };
    InvoicePage {
        document_kind: DocumentKind::DraftInvoice,
        number: "DRAFT-2026-10-483920".to_owned(),
        issue_date: None,
        due_date: None,
        tax_point: date(2026, 10, 31),
        billing_period_start: date(2026, 10, 1),
        billing_period_end: date(2026, 11, 1),
        time_zone: "Europe/Berlin".to_owned(),
        hours_in_period: 745,
        language: "en".to_owned(),
        currency: "EUR".to_owned(),
        seller: Seller {
            name: "Nordwolke GmbH".to_owned(),
            address: vec!["Speicherstraße 12".to_owned(), "20457 Hamburg".to_owned()],
            country: Some("DE".to_owned()),
            vat_id: Some("DE123456789".to_owned()),
            tax_number: None,
            registrations: BTreeMap::new(),
            email: Some("billing@nordwolke.example".to_owned()),
            payment_days: None,
            payment_terms: Some(
                "Please pay within 14 days to IBAN DE02 1203 0000 0000 2020 51 and name the invoice number.".to_owned(),
            ),
        },
        sold_by: None,
        buyer: Buyer {
            account_id: "acme".to_owned(),
            name: "Acme Manufacturing Ltd".to_owned(),
            address: vec!["Attn. Accounts Payable".to_owned(), "1 Foundry Lane".to_owned(), "Leeds LS1 4AP".to_owned()],
            country: Some("GB".to_owned()),
            vat_id: Some("GB999999973".to_owned()),
            email: None,
            purchase_order: Some("PO-44871".to_owned()),
            cost_centres: Vec::new(),
        },
        project: Some(Project { id: "075ca625701a57ebbad7cd2665eb53fb".to_owned(), name: Some("webshop".to_owned()) }),
        line_total: "1008.24".to_owned(),
        allowances: Vec::new(),
        prepayments: Vec::new(),
        exchange: None,
        price_exchanges: Vec::new(),
        usage_report: Some("usage-p-1.html".to_owned()),
        lines: vec![line(1, "745", "0.000137", "0.10"), volume, traffic],
        tax_breakdown: vec![TaxBreakdown {
            name: "VAT".to_owned(),
            category: "S".to_owned(),
            rate: "19.0000".to_owned(),
            is_compound: false,
            taxable_amount: "1008.24".to_owned(),
            tax_amount: "191.57".to_owned(),
            exemption_reason: None,
        }],
        total_without_tax: "1008.24".to_owned(),
        total_tax: "191.57".to_owned(),
        total_with_tax: "1199.81".to_owned(),
        amount_due: "1199.81".to_owned(),
        issued: None,
        data_notes: vec![DataNote {
            meter: "volume.archive".to_owned(),
            quantity: "12.5".to_owned(),
            unit: "GiB-hour".to_owned(),
            resource_count: 2,
        }],
        generated_by: "Conto 0.1.0".to_owned(),
    }
}

fn exact(text: &str) -> Cost {
    Cost::parse_exact(text).unwrap()
}

pub(crate) fn usage_report() -> UsageReportPage {
    let daily = |day: i8, service: &str, contracted_cost: &str| DailyCost {
        charge_date: date(2026, 10, day),
        service: service.to_owned(),
        contracted_cost: exact(contracted_cost),
    };
    let cost = |service: &str, contracted_cost: &str| ServiceCost {
        service: service.to_owned(),
        contracted_cost: exact(contracted_cost),
    };
    UsageReportPage {
        project: Some(Project { id: "075ca625701a57ebbad7cd2665eb53fb".to_owned(), name: Some("webshop".to_owned()) }),
        account_id: Some("acme".to_owned()),
        account_name: Some("Acme Manufacturing Ltd".to_owned()),
        status: InvoicingStatus::Invoiced,
        documents: vec![InvoiceLink {
            number: "DRAFT-2026-10-483920".to_owned(),
            path: "DRAFT-2026-10-483920.html".to_owned(),
            note: None,
        }],
        billing_period_start: date(2026, 10, 1),
        billing_period_end: date(2026, 11, 1),
        time_zone: "Europe/Berlin".to_owned(),
        hours_in_period: 745,
        currency: "EUR".to_owned(),
        contracted_cost: exact("1234.505"),
        list_cost: Some("1434.505".to_owned()),
        rounding: None,
        services: vec![cost("Compute", "1200.105"), cost("Network", "34.4")],
        daily_costs: vec![daily(2, "Network", "34.4"), daily(1, "Compute", "1000.1"), daily(31, "Compute", "200.005")],
        skus: vec![SkuCost {
            sku: "CMP-M1".to_owned(),
            service: Some("Compute".to_owned()),
            description: "Virtual machine".to_owned(),
            quantity: "745.5".to_owned(),
            unit: "instance-hour".to_owned(),
            contracted_cost: "1200.105".to_owned(),
            list_cost: "1400.105".to_owned(),
        }],
        top_resources: vec![ResourceCost {
            resource_id: "3a5cb4e2-8f6b-4f5e-9d53-1f8f3f4d2b11".to_owned(),
            display_name: Some("web-1".to_owned()),
            labels: vec![Label { name: "cost_center".to_owned(), value: "4711".to_owned() }],
            service: Some("Compute".to_owned()),
            meter: "instance".to_owned(),
            quantity: "745".to_owned(),
            unit: "instance-hour".to_owned(),
            contracted_cost: "1200.105".to_owned(),
        }],
        other_resources: Some(OtherResources { resource_count: 12, contracted_cost: "34.4".to_owned() }),
        charges_without_usage: None,
        unrated_usage: vec![UnratedUsage {
            meter: "volume.archive".to_owned(),
            resource_id: "vol-9".to_owned(),
            quantity: "12.5".to_owned(),
            unit: "GiB-hour".to_owned(),
            reason: "no rule matches".to_owned(),
        }],
        generated_by: "Conto 0.1.0".to_owned(),
    }
}

pub(crate) fn index() -> IndexPage {
    IndexPage {
        seller_name: "Nordwolke GmbH".to_owned(),
        billing_period_start: date(2026, 10, 1),
        billing_period_end: date(2026, 11, 1),
        time_zone: "Europe/Berlin".to_owned(),
        hours_in_period: 745,
        is_draft: true,
        records: RecordCounts { read: 1_048_576, accepted: 1_046_000, duplicate: 2_500, rejected: 76, unmetered: 912 },
        usage: UsageCounts { rated: 43_210, unrated: 3, unattributed: 31 },
        close_decisions: Vec::new(),
        projects: vec![
            IndexedProject {
                project: Some(Project {
                    id: "075ca625701a57ebbad7cd2665eb53fb".to_owned(),
                    name: Some("webshop".to_owned()),
                }),
                account_id: Some("acme".to_owned()),
                account_name: Some("Acme Manufacturing Ltd".to_owned()),
                status: InvoicingStatus::Invoiced,
                invoice: Some(InvoiceSummary {
                    currency: "EUR".to_owned(),
                    number: "DRAFT-2026-10-483920".to_owned(),
                    path: "acme/DRAFT-2026-10-483920.html".to_owned(),
                    total_without_tax: "1008.24".to_owned(),
                    total_tax: "191.57".to_owned(),
                    total_with_tax: "1199.81".to_owned(),
                    is_repeated: false,
                }),
                other_documents: vec![InvoiceLink {
                    number: "CN-2026-00004".to_owned(),
                    path: "acme/CN-2026-00004.html".to_owned(),
                    note: Some("credit note".to_owned()),
                }],
                usage_report_path: Some("acme/usage-webshop.html".to_owned()),
                contracted_cost: "1008.238".to_owned(),
                currency: "EUR".to_owned(),
            },
            IndexedProject {
                project: Some(Project { id: "ops".to_owned(), name: None }),
                account_id: Some("nordwolke".to_owned()),
                account_name: None,
                status: InvoicingStatus::Internal,
                invoice: None,
                other_documents: Vec::new(),
                usage_report_path: Some("nordwolke/usage-ops.html".to_owned()),
                contracted_cost: "311.5".to_owned(),
                currency: "EUR".to_owned(),
            },
            IndexedProject {
                project: None,
                account_id: None,
                account_name: None,
                status: InvoicingStatus::Unattributed,
                invoice: None,
                other_documents: Vec::new(),
                usage_report_path: None,
                contracted_cost: "2.000000000000000001".to_owned(),
                currency: "EUR".to_owned(),
            },
        ],
        totals: vec![CurrencyTotal {
            currency: "EUR".to_owned(),
            invoice_count: 1,
            total_without_tax: "1008.24".to_owned(),
            total_tax: "191.57".to_owned(),
            total_with_tax: "1199.81".to_owned(),
        }],
        rejected_records: vec![RejectedRecords { reason: "quantity is negative".to_owned(), record_count: 76 }],
        unrated_usage: vec![UnratedUsageSummary {
            meter: "volume.archive".to_owned(),
            resource_count: 1,
            quantity: "12.5".to_owned(),
            unit: "GiB-hour".to_owned(),
            reason: "no rule matches".to_owned(),
        }],
        files: vec![
            File { path: "invoices.csv".to_owned(), description: "one row for each invoice".to_owned() },
            File { path: "invoice_lines.csv".to_owned(), description: "one row for each line".to_owned() },
            File { path: "usage.csv".to_owned(), description: "priced usage by resource and day".to_owned() },
        ],
        generated_by: "Conto 0.1.0".to_owned(),
    }
}

fn pages(language: &str) -> Pages {
    Pages::new(language, &Branding::default()).unwrap()
}

#[test]
fn an_invoice_shows_its_amounts() {
    let html = pages("en").render_invoice(&invoice()).unwrap();
    for text in
        ["1,008.24", "191.57", "1,199.81&nbsp;EUR", "12,500.5", "0.000137", "5.40", "per 1,000 GB", "1,500.123456789"]
    {
        assert!(html.contains(text), "{text}");
    }
    assert!(html.contains("1–31 October 2026"));
    assert!(html.contains("VAT 19&nbsp;% on 1,008.24"));
    assert!(html.contains("class=\"draft\""));
}

/// A price that changes on 16 October gives two lines, which show their dates. A third line with another flavor and a
/// fee for the whole month show none. A fee from 11 October shows its dates.
#[test]
fn a_line_shows_its_dates_if_the_price_changed() {
    let mut page = invoice();
    let (first, second) = ((date(2026, 10, 1), date(2026, 10, 16)), (date(2026, 10, 16), date(2026, 11, 1)));
    let during = |number, (start, end), price: &str| InvoiceLine {
        charge_period_start: start,
        charge_period_end: end,
        ..line(number, "360", price, "28.80")
    };
    let mut other = during(3, first, "0.09");
    other.line_by[0].value = "m1.large".to_owned();
    let fee = |number, start| InvoiceLine {
        charge_kind: Some("recurring".to_owned()),
        ..during(number, (start, date(2026, 11, 1)), "10")
    };
    page.lines = vec![during(1, first, "0.08"), during(2, second, "0.076"), other];
    page.lines.extend([fee(4, date(2026, 10, 1)), InvoiceLine { sku: "FEE".to_owned(), ..fee(5, date(2026, 10, 11)) }]);
    let html = pages("en").render_invoice(&page).unwrap();
    for (period, count) in [("1–15 October 2026", 1), ("16–31 October 2026", 1), ("11–31 October 2026", 1)] {
        assert_eq!(html.matches(&format!(">{period}<")).count(), count, "{period}");
    }
    // The only other period is that of the document.
    assert_eq!(html.matches("October 2026</d").count(), 4);
    page.lines.remove(1);
    assert!(!pages("en").render_invoice(&page).unwrap().contains("1–15 October"), "one price in the month");
}

/// 148150000000 bytes at 0.00000000005 are 148.15 GB at 0.05: 7.4075. 5000 seconds at 0.00001 are 1.388889 hours at
/// 0.036: 0.05. The tier starts at 100 GB.
#[test]
fn an_invoice_shows_units_that_people_use() {
    let mut page = invoice();
    page.lines[0] = InvoiceLine {
        unit: "B".to_owned(),
        line_by: vec![LineBy { name: "above".to_owned(), value: "100000000000".to_owned() }],
        ..line(1, "148150000000", "0.00000000005", "7.41")
    };
    page.lines[1] = InvoiceLine { unit: "s".to_owned(), ..line(2, "5000", "0.00001", "0.05") };
    page.lines[2] = InvoiceLine { unit: "B".to_owned(), ..line(3, "-12", "0.00000000005", "0.00") };
    page.data_notes[0].unit = "B-hour".to_owned();
    let html = pages("en").render_invoice(&page).unwrap();
    for text in
        ["148.15", "above <bdi>100 GB<", "0.05", "1.388889", "hours", "(5,000 seconds)", "0.036", "-0.000000012"]
    {
        assert!(html.contains(text), "{text}\n{html}");
    }
    assert!(html.contains("0.0000000125 <bdi>GB-hours</bdi>"));
    let json = invoice_json(&page).unwrap();
    assert!(json.contains("\"148150000000\"") && json.contains("\"unit\": \"B\"") && !json.contains("148.15"));
    let mut report = usage_report();
    report.skus[0].quantity = "148150000000".to_owned();
    report.skus[0].unit = "B".to_owned();
    let html = pages("fr").render_usage_report(&report).unwrap();
    assert!(html.contains("148,15") && html.contains(">Go<") && html.contains(">instance-heures<"));
}

/// 0.00000000005 × 1.1 per byte is 0.05 × 1.1 per GB.
#[test]
fn a_price_with_factors_shows_its_parts() {
    let factored = |currency: &str| FactoredPrice {
        base_unit_price: "0.00000000005".to_owned(),
        factor: "1.1".to_owned(),
        currency: currency.to_owned(),
    };
    let mut page = invoice();
    page.lines[0] = InvoiceLine {
        unit: "B".to_owned(),
        factored_price: Some(factored("EUR")),
        ..line(1, "148150000000", "0.000000000055", "8.15")
    };
    page.lines[1].factored_price = Some(FactoredPrice { base_unit_price: "0.09".to_owned(), ..factored("USD") });
    for (language, expected) in [
        (
            "en",
            [
                "0.055",
                "base price <span class=\"nowrap\">0.05 × 1.1<",
                "base price <span class=\"nowrap\">0.09 USD × 1.1<",
            ],
        ),
        (
            "de",
            [
                "0,055",
                "Grundpreis <span class=\"nowrap\">0,05 × 1,1<",
                "Grundpreis <span class=\"nowrap\">0,09 USD × 1,1<",
            ],
        ),
        (
            "fr",
            [
                "0,055",
                "prix de base <span class=\"nowrap\">0,05 × 1,1<",
                "prix de base <span class=\"nowrap\">0,09 USD × 1,1<",
            ],
        ),
    ] {
        let html = pages(language).render_invoice(&page).unwrap();
        for text in expected {
            assert!(html.contains(text), "{language}: {text}");
        }
    }
    assert!(invoice_json(&page).unwrap().contains("\"base_unit_price\": \"0.00000000005\""));
}

#[test]
fn countries_have_names_on_invoices() {
    for (language, seller, buyer) in [
        ("en", "Germany", "United Kingdom"),
        ("de", "Deutschland", "Vereinigtes Königreich"),
        ("fr", "Allemagne", "Royaume-Uni"),
    ] {
        let html = pages(language).render_invoice(&invoice()).unwrap();
        assert!(html.contains(&format!("<bdi>{buyer}</bdi>")) && html.matches(seller).count() == 2, "{language}");
        assert!(!html.contains("<bdi>DE</bdi>") && !html.contains("<bdi>GB</bdi>"), "{language}");
    }
}

/// A dimension has a message, of the program or of the seller, or its own name with blanks.
#[test]
fn dimensions_have_labels() {
    let mut page = invoice();
    page.lines[0].line_by =
        ["volume_type", "service_level"].map(|name| LineBy { name: name.to_owned(), value: "x".to_owned() }).to_vec();
    let mut branding = Branding::default();
    let html = Pages::new("de", &branding).unwrap().render_invoice(&page).unwrap();
    assert!(html.contains("Volume-Typ <bdi>x") && html.contains("Service level <bdi>x"), "{html}");
    let messages = "by_service_level = \"Dienstgüte\"\nby_volume_type = \"Datenträger\"\n".to_owned();
    branding.templates.insert("messages/de.toml".to_owned(), messages);
    let html = Pages::new("de", &branding).unwrap().render_invoice(&page).unwrap();
    assert!(html.contains("Datenträger <bdi>x") && html.contains("Dienstgüte <bdi>x"), "{html}");
}

/// On a narrow screen each cell has a label. In print the last lines are on the page of the totals.
#[test]
fn pages_have_labels_for_narrow_screens() {
    let html = pages("de").render_invoice(&invoice()).unwrap();
    for text in ["data-label=\"Menge\"", "data-label=\"Einzelpreis\"", "break-before: avoid", "\" counter(pages)"] {
        assert!(html.contains(text), "{text}");
    }
    let html = pages("en").render_usage_report(&usage_report()).unwrap();
    for text in ["data-label=\"Quantity\"", "data-label=\"Share\"", "class=\"scroll\""] {
        assert!(html.contains(text), "{text}");
    }
}

#[test]
fn numbers_follow_the_language() {
    let german = pages("de").render_invoice(&invoice()).unwrap();
    assert!(german.contains("1.199,81&nbsp;EUR") && german.contains("je 1.000"));
    let french = pages("fr").render_invoice(&invoice()).unwrap();
    assert!(french.contains("1\u{202f}199,81&nbsp;EUR"));
}

#[test]
fn dates_follow_the_language_on_every_page() {
    let german = pages("de").render_usage_report(&usage_report()).unwrap();
    for text in ["1.–31. Oktober 2026", ">1. Okt.<", "1. Oktober 2026, Compute: 1.000,10 EUR"] {
        assert!(german.contains(text), "{text}");
    }
    let french = pages("fr").render_index(&index()).unwrap();
    assert!(french.contains("Billing 1–31 octobre 2026"));
    assert!(pages("fr").render_invoice(&invoice()).unwrap().contains("1–31 octobre 2026"));
}

#[test]
fn an_issued_invoice_is_not_marked_as_draft() {
    let page = InvoicePage {
        document_kind: DocumentKind::Invoice,
        number: "2026-000017".to_owned(),
        issue_date: Some(date(2026, 11, 3)),
        due_date: None,
        ..invoice()
    };
    let html = pages("en").render_invoice(&page).unwrap();
    assert!(html.contains("3 November 2026") && html.contains("No. 2026-000017"));
    assert!(!html.to_lowercase().contains(">draft"));
}

/// A credit note shows the credited amount and no payment terms. Invoices and credit notes show the cost centre.
#[test]
fn a_credit_note_has_no_payment_terms() {
    let mut page = InvoicePage { document_kind: DocumentKind::Invoice, ..invoice() };
    page.buyer.email = Some("ap@acme.example".to_owned());
    page.buyer.cost_centres = vec!["R&D".to_owned(), "4711".to_owned()];
    let credit_note = InvoicePage { document_kind: DocumentKind::CreditNote, ..page.clone() };
    for (language, due, credited, centre) in [
        ("en", "Amount due", "Amount credited", "Cost centre"),
        ("de", "Zu zahlen", "Zu Ihren Gunsten", "Kostenstelle"),
        ("fr", "Net à payer", "Montant de l’avoir", "Centre de coûts"),
    ] {
        for (page, expected, unexpected) in [(&page, due, credited), (&credit_note, credited, due)] {
            let html = pages(language).render_invoice(page).unwrap();
            assert!(html.contains(expected) && !html.contains(unexpected), "{language}: {expected}");
            assert_eq!(html.contains("Please pay within 14 days"), expected == due, "{language}");
            assert!(html.contains(centre) && html.contains("R&amp;D, 4711"), "{html}");
            assert!(html.contains("ap@acme.example"), "{language}");
        }
    }
}

#[test]
fn an_invoice_without_optional_values_is_rendered() {
    let page = InvoicePage {
        seller: Seller { name: "S".to_owned(), ..Seller::default() },
        buyer: Buyer { account_id: "b".to_owned(), ..Buyer::default() },
        project: Some(Project { id: "p".to_owned(), name: None }),
        lines: Vec::new(),
        tax_breakdown: Vec::new(),
        issued: None,
        data_notes: Vec::new(),
        total_without_tax: "0".to_owned(),
        total_tax: "0".to_owned(),
        total_with_tax: "0".to_owned(),
        amount_due: "0".to_owned(),
        ..invoice()
    };
    let html = pages("en").render_invoice(&page).unwrap();
    assert!(html.contains("Nothing was charged") && html.contains("0.00&nbsp;EUR"));
    assert!(!html.contains("none<") && !html.contains(">null"));
}

#[test]
fn hostile_texts_are_escaped() {
    let hostile = || HOSTILE.to_owned();
    let mut page = invoice();
    page.number = hostile();
    page.buyer.name = hostile();
    page.buyer.address = vec![hostile()];
    page.buyer.account_id = hostile();
    page.project = Some(Project { id: hostile(), name: Some(hostile()) });
    page.data_notes = vec![DataNote { meter: hostile(), quantity: "1".to_owned(), unit: hostile(), resource_count: 1 }];
    page.lines[0].line_by[0].value = hostile();
    page.lines[0].description = hostile();
    let mut report = usage_report();
    report.project = Some(Project { id: hostile(), name: Some(hostile()) });
    report.services[0].service = hostile();
    report.daily_costs[1].service = hostile();
    report.daily_costs[2].service = hostile();
    report.top_resources[0].display_name = Some(hostile());
    report.documents =
        vec![InvoiceLink { number: hostile(), path: format!("javascript:{HOSTILE}"), note: Some(hostile()) }];
    let mut list = index();
    list.projects[0].account_name = Some(hostile());
    list.rejected_records[0].reason = hostile();
    let pages = pages("en");
    for html in [
        pages.render_invoice(&page).unwrap(),
        pages.render_usage_report(&report).unwrap(),
        pages.render_index(&list).unwrap(),
    ] {
        assert!(!html.contains("<script"));
        assert!(!html.contains("href=\"javascript"));
        assert!(html.contains("&lt;script&gt;"));
        assert!(html.contains("{{ number }}"));
        assert_eq!(html.matches("</style>").count(), 1);
    }
}

#[test]
fn an_unrounded_amount_is_an_error() {
    let page = InvoicePage { total_with_tax: "1199.805".to_owned(), ..invoice() };
    let error = pages("en").render_invoice(&page).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("never rounds an amount"), "{cause}");
}

/// A report names every document of the project. The rows of the most expensive resources add up to the total, here
/// with a fee of 20.00 beside resources for 1,214.505. A negative cost has no share.
#[test]
fn a_usage_report_names_all_documents_and_adds_up() {
    let mut report = usage_report();
    let link = |number: &str, note: Option<&str>| InvoiceLink {
        number: number.to_owned(),
        path: format!("{number}.html"),
        note: note.map(str::to_owned),
    };
    report.documents = vec![link("INV-4", Some("cancelled")), link("INV-8", None), link("CN-1", Some("credit note"))];
    report.charges_without_usage = Some("20".to_owned());
    let html = pages("en").render_usage_report(&report).unwrap();
    for text in [
        "INV-4</a> <span class=\"soft\">(cancelled)",
        "INV-8.html\">INV-8</a></span>",
        "CN-1</a> <span class=\"soft\">(credit note)",
        "Fees, charges and credits without a resource",
    ] {
        assert!(html.contains(text), "{text}: {html}");
    }
    assert!(!html.contains("Shares are of the positive costs"));
}

/// Late usage adds to the earlier invoice; a corrected record replaces a part of it. A negative line corrects it too.
#[test]
fn late_usage_is_additional_to_the_earlier_invoice() {
    let correction = |reason: &str| LineCorrection {
        charge_period_start: date(2026, 9, 9),
        charge_period_end: date(2026, 9, 10),
        document: Some(PrecedingDocument { number: "INV-7".to_owned(), issue_date: date(2026, 10, 2) }),
        reason: reason.to_owned(),
    };
    let mut page = invoice();
    for (language, late, corrected) in [
        (
            "en",
            "9 September 2026 · Late usage, in addition to invoice INV-7, 2 October 2026",
            "Corrected record · Corrects No. INV-7, 2 October 2026",
        ),
        (
            "de",
            "9. September 2026 · Nachgemeldete Nutzung, zusätzlich zu Rechnung INV-7, 2. Oktober 2026",
            "Berichtigter Messwert · Berichtigt Nr. INV-7, 2. Oktober 2026",
        ),
        (
            "fr",
            "9 septembre 2026 · Usage transmis tardivement, en plus de la facture INV-7, 2 octobre 2026",
            "Relevé rectifié · Rectifie Nº INV-7, 2 octobre 2026",
        ),
    ] {
        page.lines[0].correction = Some(correction("late_usage"));
        page.lines[1].correction = Some(correction("changed_record"));
        let html = pages(language).render_invoice(&page).unwrap();
        for text in [late, corrected] {
            assert!(html.contains(text), "{language}: {text}: {html}");
        }
        page.lines[0].net_amount = "-0.10".to_owned();
        let html = pages(language).render_invoice(&page).unwrap();
        assert!(!html.contains(late), "{language}: a negative line is not additional");
        page.lines[0].net_amount = "0.10".to_owned();
    }
}

/// A line shows its taxes only if other lines of the document have other ones.
#[test]
fn lines_show_their_taxes_if_the_document_has_several() {
    let mut page = invoice();
    page.tax_breakdown.truncate(1);
    let tax = |rate: &str| LineTax { name: "USt".to_owned(), category: "S".to_owned(), rate: rate.to_owned() };
    page.lines.iter_mut().for_each(|line| line.taxes = vec![tax("19")]);
    let of_line = "<bdi>USt</bdi> 7&nbsp;%";
    assert!(!pages("en").render_invoice(&page).unwrap().contains("<bdi>USt</bdi> 19&nbsp;%"));
    page.tax_breakdown.push(TaxBreakdown { rate: "7".to_owned(), ..page.tax_breakdown[0].clone() });
    page.lines[1].taxes = vec![tax("7")];
    let html = pages("en").render_invoice(&page).unwrap();
    assert_eq!(
        (html.matches(of_line).count(), html.matches("<bdi>USt</bdi> 19&nbsp;%").count()),
        (1, page.lines.len() - 1)
    );
}

/// The invoice names the report with its days. A credit note has the days of the cancelled invoice.
#[test]
fn an_invoice_names_its_usage_report_and_a_credit_note_does_not() {
    let link = "href=\"./usage-p-1.html\"";
    assert!(pages("de").render_invoice(&invoice()).unwrap().contains(link));
    let credit_note = InvoicePage { document_kind: DocumentKind::CreditNote, ..invoice() };
    assert!(!pages("de").render_invoice(&credit_note).unwrap().contains(link));
}

/// Under reverse charge the invoice states in plain words who pays the tax. A credit note does not.
#[test]
fn reverse_charge_is_explained() {
    let mut page = InvoicePage { document_kind: DocumentKind::Invoice, ..invoice() };
    page.tax_breakdown[0].category = "AE".to_owned();
    for (language, text) in [
        ("en", "You owe the tax on this amount"),
        ("de", "Sie schulden die Steuer auf diesen Betrag"),
        ("fr", "Vous devez la taxe sur ce montant"),
    ] {
        assert!(pages(language).render_invoice(&page).unwrap().contains(text), "{language}");
        let credit_note = InvoicePage { document_kind: DocumentKind::CreditNote, ..page.clone() };
        assert!(!pages(language).render_invoice(&credit_note).unwrap().contains(text), "{language}");
        assert!(!pages(language).render_invoice(&invoice()).unwrap().contains(text), "{language}");
    }
}

#[test]
fn a_usage_report_shows_rounded_costs() {
    let html = pages("en").render_usage_report(&usage_report()).unwrap();
    for text in [
        "1,234.51 EUR",
        "1,200.11",
        "97.2&nbsp;%",
        "12 other resources",
        "no rule matches",
        "2 October 2026, Network: 34.40 EUR",
    ] {
        assert!(html.contains(text), "{text}");
    }
    // A bar for each of the three daily costs, and a square in the legend for each of the two services.
    assert_eq!(html.matches("<rect class=\"series-").count(), 3 + 2);
}

/// The cost 1234.505 is shown as 1234.51, and the invoice lines add up to 1234.50.
#[test]
fn a_usage_report_shows_the_rounding_of_lines() {
    let mut page = usage_report();
    let html = pages("en").render_usage_report(&page).unwrap();
    assert!(!html.contains("Rounding of the invoice lines"));
    page.rounding = Some(LineRounding { difference: "-0.01".to_owned(), invoiced: "1234.50".to_owned() });
    let html = pages("en").render_usage_report(&page).unwrap();
    for text in ["Rounding of the invoice lines", ">-0.01<", "Sum of the invoice lines", ">1,234.50<"] {
        assert!(html.contains(text), "{text}");
    }
}

#[test]
fn small_services_are_added_up() {
    let mut page = usage_report();
    page.services = (0..12)
        .map(|number| ServiceCost { service: format!("Service {number}"), contracted_cost: exact("1") })
        .collect();
    page.daily_costs = page
        .services
        .iter()
        .map(|service| DailyCost {
            charge_date: date(2026, 10, 5),
            service: service.service.clone(),
            contracted_cost: service.contracted_cost,
        })
        .collect();
    page.contracted_cost = exact("12");
    let html = pages("en").render_usage_report(&page).unwrap();
    assert!(html.contains("5 October 2026, Other services: 5.00 EUR"));
    assert!(html.contains("5 October 2026, Service 6: 1.00 EUR"));
    assert!(!html.contains("5 October 2026, Service 7"));
}

#[test]
fn a_report_without_project_and_costs_is_rendered() {
    let page = UsageReportPage {
        project: None,
        account_id: None,
        account_name: None,
        documents: Vec::new(),
        status: InvoicingStatus::Unattributed,
        contracted_cost: exact("0"),
        services: Vec::new(),
        daily_costs: Vec::new(),
        skus: Vec::new(),
        top_resources: Vec::new(),
        other_resources: None,
        unrated_usage: Vec::new(),
        ..usage_report()
    };
    let html = pages("en").render_usage_report(&page).unwrap();
    assert!(html.contains("No usage was charged") && html.contains("Usage without a project"));
}

#[test]
fn a_daily_cost_of_an_unlisted_service_or_day_is_an_error() {
    let mut page = usage_report();
    page.daily_costs[0].service = "Surprise".to_owned();
    assert!(matches!(pages("en").render_usage_report(&page), Err(Error::Cost(CostError::Unlisted(_)))));
    let mut page = usage_report();
    page.daily_costs[0].charge_date = date(2026, 11, 1);
    assert!(matches!(pages("en").render_usage_report(&page), Err(Error::Cost(CostError::Unlisted(_)))));
}

#[test]
fn a_report_with_a_wrong_total_is_an_error() {
    let mut page = usage_report();
    page.contracted_cost = exact("1234.505000000000000001");
    let error = pages("en").render_usage_report(&page).unwrap_err();
    assert!(matches!(error, Error::Cost(CostError::NotTheTotal { .. })));
}

#[test]
fn an_index_lists_every_project() {
    let html = pages("en").render_index(&index()).unwrap();
    for text in ["1,048,576", "1,199.81", "311.50", "internal, not invoiced", "unattributed", "./invoice_lines.csv"] {
        assert!(html.contains(text), "{text}");
    }
}

#[test]
fn the_same_page_has_the_same_bytes() {
    let first = pages("de");
    let second = pages("de");
    assert_eq!(first.render_invoice(&invoice()).unwrap(), second.render_invoice(&invoice()).unwrap());
    assert_eq!(
        first.render_usage_report(&usage_report()).unwrap(),
        second.render_usage_report(&usage_report()).unwrap()
    );
    assert_eq!(first.render_index(&index()).unwrap(), second.render_index(&index()).unwrap());
}

#[test]
fn templates_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&pages("en"));
}

#[test]
fn the_invoice_as_json() {
    insta::assert_snapshot!(invoice_json(&invoice()).unwrap());
}

#[test]
fn invoices_are_in_the_language_of_the_reader() {
    let german = pages("de-AT").render_invoice(&invoice()).unwrap();
    for text in ["lang=\"de\"", "Rechnung", "Entwurf", "1.–31. Oktober 2026", "Zu zahlen", "Nettobetrag"] {
        assert!(german.contains(text), "{text}");
    }
    let french = pages("fr").render_invoice(&invoice()).unwrap();
    for text in ["lang=\"fr\"", "Facture", "Brouillon", "1–31 octobre 2026", "Net à payer", "Total HT"] {
        assert!(french.contains(text), "{text}");
    }
    let other = pages("it").render_invoice(&invoice()).unwrap();
    assert!(other.contains("lang=\"en\"") && other.contains("Amount due"), "a language without messages uses English");
}

#[test]
fn every_language_has_every_message() {
    let merged = |language: &str| messages_of(language, &Branding::default()).unwrap().1;
    let built_in = |language: &str| -> BTreeMap<String, String> {
        toml::from_str(MESSAGES.iter().find(|(name, _)| *name == language).unwrap().1).unwrap()
    };
    for (language, _) in MESSAGES {
        assert!(merged("en").keys().eq(built_in(language).keys()), "{language} has other keys than English");
    }
}

/// Texts of the program on lines, notes and taxes are in the language of the reader. Texts of the seller are not
/// translated.
#[test]
fn no_english_is_left_on_documents_of_other_languages() {
    let mut page = invoice();
    page.issue_date = Some(date(2026, 11, 2));
    page.due_date = Some(date(2026, 12, 2));
    page.document_kind = DocumentKind::Invoice;
    page.lines[0].charge_kind = Some("flat_fee".to_owned());
    page.lines[0].unit = "hour".to_owned();
    page.lines[0].line_by = vec![LineBy { name: "part".to_owned(), value: "not used".to_owned() }];
    page.lines[1].description = String::new();
    page.lines[1].charge_kind = Some("carried_forward".to_owned());
    page.tax_breakdown[0].exemption_reason = Some("Reverse charge".to_owned());
    for (language, expected) in [
        (
            "de",
            [
                "Fällig am",
                "Pauschale",
                ">Stunden<",
                "nicht genutzt",
                "Übertrag auf",
                "Steuerschuldnerschaft",
                "ohne Preis",
            ],
        ),
        ("fr", ["Échéance", "forfait", ">heures<", "non utilisé", "Reporté sur", "Autoliquidation", "sans prix"]),
    ] {
        let page = Pages::new(language, &Branding::default()).unwrap().render_invoice(&page).unwrap();
        for text in expected {
            assert!(page.contains(text), "{language}: {text}\n{page}");
        }
        for text in ["flat fee", "not used", ">hours<", "Reverse charge", "arried forward", "no price"] {
            assert!(!page.contains(text), "{language}: {text}\n{page}");
        }
    }
    page.tax_breakdown[0].exemption_reason = Some("Reverse charge, Art. 196".to_owned());
    let translated = Pages::new("de", &Branding::default()).unwrap().render_invoice(&page).unwrap();
    assert!(translated.contains("Reverse charge, Art. 196"), "a text of the seller");
}

/// A seller can change the logo, colour, footer, messages and templates. Everything else is built in.
#[test]
fn a_seller_can_change_the_branding() {
    let mut branding = Branding {
        logo: Some("data:image/svg+xml;base64,PHN2Zy8+".to_owned()),
        accent_color: Some("#123456".to_owned()),
        legal_footer: vec!["Amtsgericht Hamburg HRB 1 <b>".to_owned()],
        templates: BTreeMap::new(),
    };
    let plain = branding.digest();
    let page = Pages::new("de", &branding).unwrap().render_invoice(&invoice()).unwrap();
    for text in ["src=\"data:image&#x2f;svg+xml;base64,PHN2Zy8+\"", "--accent: #123456", "HRB 1 &lt;b&gt;"] {
        assert!(page.contains(text), "{text}");
    }
    branding.templates.insert("messages/de.toml".to_owned(), "amount_due = \"Rechnungsbetrag\"".to_owned());
    let page = Pages::new("de", &branding).unwrap().render_invoice(&invoice()).unwrap();
    assert!(page.contains("Rechnungsbetrag") && page.contains("Nettobetrag"));
    branding.templates.insert("invoice.html".to_owned(), "{{ number }} {{ amount_due | amount(currency) }}".to_owned());
    let page = Pages::new("de", &branding).unwrap().render_invoice(&invoice()).unwrap();
    assert_eq!(page, "DRAFT-2026-10-483920 1.199,81");
    assert_ne!(plain, branding.digest());
    branding.templates.insert("invoice.html".to_owned(), "{% if".to_owned());
    assert!(matches!(Pages::new("de", &branding), Err(Error::Render { .. })));
}
