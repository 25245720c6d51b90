//! Resellers: documents under their own name, number series, margins and corrections.

use conto::model::money::Cost;

use crate::test_lake::TestLake;

const OCTOBER: &str = "2026-10";

/// The values of a column in the rows that have this value in another column.
fn cells(lake: &TestLake, relation: &str, (key, value): (&str, &str), column: &str) -> Vec<String> {
    let rows = lake.rows_where(relation, key, value);
    rows.iter().map(|row| row.get(column).cloned().unwrap_or_default()).collect()
}

/// The page of the sample explains the amounts. Each seller has its own numbers. The journal contains only the
/// documents of the seller, not those of the reseller.
#[test]
fn a_reseller_has_documents_with_its_own_name_and_numbers() {
    let lake = TestLake::of_sample("reseller");
    let accounts = lake.text("accounts.toml");
    lake.set_accounts(accounts.replacen("country = \"FR\"\n", "", 1));
    let suspended: Vec<String> =
        lake.run(OCTOBER).suspended_accounts.into_iter().map(|account| account.reason).collect();
    assert_eq!(suspended, ["reseller_suspended", "reseller_suspended", "no_country"]);
    lake.set_accounts(accounts.replacen(r#"parent = "R-1""#, "parent = \"R-1\"\ncurrency = \"USD\"", 1));
    let suspended: Vec<String> =
        lake.run(OCTOBER).suspended_accounts.into_iter().map(|account| account.reason).collect();
    assert_eq!(suspended, ["reseller_currency"]);
    let unsold = lake.document(OCTOBER, "margins.csv");
    assert!(
        unsold.contains("R-1,K-1,phare-shop,,0,,,On no line of the customer,,0,,0.00,56.58,-56.58,EUR"),
        "{unsold}"
    );

    lake.set_accounts(accounts.replacen("cards = [", "payment_days = 30\ncards = [", 1));
    let summary = lake.run(OCTOBER);
    assert_eq!((summary.invoices, summary.retail[0].invoices), (2, 2));
    lake.assert_audited(&[OCTOBER]);
    let wholesale = lake.explain(&lake.draft("2026-10", "R-1/5"));
    assert!(wholesale.contains("rule instance-wholesale at") && wholesale.contains("52.08"), "{wholesale}");
    let retail = lake.explain(&lake.draft("2026-10", "K-1/1"));
    assert!(retail.contains("rule instance at") && retail.contains("2026-10-05T10:00:00Z"), "{retail}");
    let page = lake.document(OCTOBER, &format!("K-1/{}.html", lake.draft(OCTOBER, "K-1")));
    assert!(page.contains("Goémon Informatique SARL") && page.contains("FR78000000701"), "{page}");
    assert!(!page.contains("Brume Cloud SAS"), "{page}");
    lake.close(OCTOBER, "2026-11-02");
    let due = |name: &str| lake.document(OCTOBER, name).contains(r#""due_date": "2026-12-02""#);
    assert!(due("R-1/INV-2026-00002.json") && !due("C-3/INV-2026-00001.json"), "thirty days after the issue");
    let mut numbers: Vec<(String, String)> = lake
        .rows("issued_document")
        .into_iter()
        .map(|row| (row["document_number"].clone(), row["seller"].clone()))
        .collect();
    numbers.sort();
    let (ours, theirs) = ("FR02000000417".to_owned(), "FR78000000701".to_owned());
    assert_eq!(
        numbers,
        [
            ("INV-2026-00001".to_owned(), ours.clone()),
            ("INV-2026-00002".to_owned(), ours),
            ("INV-R-1-2026-00001".to_owned(), theirs.clone()),
            ("INV-R-1-2026-00002".to_owned(), theirs)
        ]
    );
    let journal = lake.export_journal(OCTOBER, "csv");
    assert!(journal.contains("INV-2026-00002") && !journal.contains("INV-R-1-"), "{journal}");
    lake.assert_verified();
}

/// A brand of the seller resells under the same VAT id. The brand has its own numbers, and no series has a gap.
#[test]
fn a_reseller_with_the_vat_id_of_the_seller_has_its_own_numbers() {
    let lake = TestLake::of_sample("reseller");
    let accounts = lake.text("accounts.toml");
    lake.set_accounts(accounts.replacen("FR78000000701", "FR02000000417", 1));
    for (period, date) in [(OCTOBER, "2026-11-02"), ("2026-11", "2026-12-01")] {
        lake.close_by_force(period, date);
        let october = lake.text("usage/october.jsonl");
        lake.put("usage/november.jsonl", october.replace("2026-10-", "2026-11-"));
    }
    let mut numbers: Vec<String> =
        lake.rows("issued_document").iter().map(|row| row["document_number"].clone()).collect();
    numbers.sort();
    let sold = numbers.iter().filter(|number| number.contains("R-1")).count();
    let expected = (1..=sold).map(|number| format!("INV-R-1-2026-{number:05}"));
    let own = (1..=numbers.len() - sold).map(|number| format!("INV-2026-{number:05}"));
    assert!(sold >= 4, "{numbers:?}");
    assert_eq!(numbers, own.chain(expected).collect::<Vec<_>>());
    lake.assert_verified();
}

/// The shop moves from K-1 to K-2 on the 15th. Both customers and the reseller pay a plan for each project. The
/// reseller also pays a backup that it sells to no customer. The margins add up to the documents: the customers' totals
/// without tax and the reseller's cost of their projects, exact to eighteen places.
#[test]
fn margins_csv_adds_up_to_the_invoices() {
    let lake = TestLake::of_sample("reseller");
    let accounts = lake.text("accounts.toml");
    let (shop, other) = (r#"{ id = "phare-shop", name = "shop" }"#, r#"projects = [{ id = "kerlouan-cad""#);
    assert!(accounts.contains(shop) && accounts.contains(other));
    let until = r#"{ id = "phare-shop", valid_to = 2026-10-15 }"#;
    let from = r#"projects = [{ id = "phare-shop", valid_from = 2026-10-15 }, { id = "kerlouan-cad""#;
    lake.set_accounts(accounts.replace(shop, until).replace(other, from));
    let plans = r#"
        [[recurring]]
        id = "plan"
        sku = "PLAN"
        per = "project"
        accounts = ["K-1", "K-2"]
        unit_price = "12.40"

        [[recurring]]
        id = "plan-wholesale"
        sku = "PLAN"
        per = "project"
        accounts = ["R-1"]
        unit_price = "7.13"

        [[recurring]]
        id = "backup"
        sku = "BACKUP"
        per = "project"
        accounts = ["R-1"]
        unit_price = "0.31"
        "#;
    lake.put("rating-rules/plans.toml", plans);
    let usage = lake.text("usage/october.jsonl");
    let again = |line: &str| {
        let later = line.replace("2026-10-05T", "2026-10-25T");
        later.replace(r#""message_id": ""#, r#""message_id": "later-"#) + "\n"
    };
    lake.put(
        "usage/later.jsonl",
        usage.lines().filter(|line| line.contains("phare-shop")).map(again).collect::<String>(),
    );
    let summary = lake.run(OCTOBER);
    assert_eq!((summary.invoices, summary.retail[0].invoices), (2, 2));

    let margins = lake.document(OCTOBER, "margins.csv");
    let rows: Vec<Vec<&str>> = margins.lines().map(|line| line.split(',').collect()).collect();
    let column = |name: &str| rows[0].iter().position(|column| *column == name).unwrap();
    let units = |text: &str| Cost::parse_exact(text).unwrap().units();
    let sum = |name: &str| -> i128 { rows[1..].iter().map(|row| units(row[column(name)])).sum() };
    let of = |relation: &str, key: &str, values: &[&str], column: &str| -> i128 {
        let all = values.iter().flat_map(|value| cells(&lake, relation, (key, value), column));
        all.map(|text| units(&text)).sum()
    };
    let wholesale = of("invoice_line", "account_id", &["R-1"], "contracted_cost");
    let own = of("invoice_line", "project_id", &["goemon-office"], "contracted_cost");
    assert_eq!(sum("net_amount"), of("invoice", "account_id", &["K-1", "K-2"], "total_without_tax"));
    assert_eq!(sum("wholesale_cost"), wholesale - own);
    assert_eq!(sum("margin"), sum("net_amount") - sum("wholesale_cost"));
    // The moved project has 14 and 17 of 31 days: 3.22 and 3.91 of 7.13. The backup, 0.14 and 0.17 of 0.31, is on no
    // line of a customer.
    let of_sku = |wanted: &str| -> Vec<&str> {
        let rows = rows.iter().filter(|row| row[column("sku")] == wanted);
        rows.map(|row| row[column("wholesale_cost")]).collect()
    };
    assert_eq!((of_sku("PLAN"), of_sku("")), (vec!["3.22", "7.13", "3.91"], vec!["0.14", "0.31", "0.17"]), "{margins}");
}

/// Ten hours of K-1 arrive after the close. The customer owes 1.00 more and the reseller 0.70 more, each on a document
/// of its own seller. In the margins, the first line of K-1 has the wholesale cost of all hours: (744 + 10) × 0.07 =
/// 52.78.
#[test]
fn late_usage_of_a_resellers_customer_corrects_both_invoices() {
    let lake = TestLake::of_sample("reseller");
    lake.configure(r#"closing.charge_increases_as = "separate_invoice""#);
    lake.close(OCTOBER, "2026-11-02");
    let usage = lake.files("usage").into_iter().next().unwrap();
    let late = String::from_utf8(usage.1).unwrap().lines().find(|line| line.contains("744")).unwrap().to_owned();
    let late = late.replace(r#""744""#, r#""10""#).replace("2026-10-05T", "2026-10-06T");
    lake.put("usage/late.jsonl", late.replace(r#""message_id": ""#, r#""message_id": "late-"#));
    lake.close(OCTOBER, "2026-11-10");
    let net = |number: &str| cells(&lake, "invoice", ("invoice_number", number), "total_without_tax");
    assert_eq!((net("INV-2026-00003"), net("INV-R-1-2026-00003")), (vec!["0.7000".into()], vec!["1.0000".into()]));
    let margins = lake.document(OCTOBER, "margins.csv");
    for row in [",74.40,52.78,21.62,EUR", ",1.00,0.00,1.00,EUR"] {
        assert!(margins.lines().any(|line| line.starts_with("R-1,K-1,") && line.ends_with(row)), "{row}\n{margins}");
    }
    lake.assert_audited(&[OCTOBER]);
    lake.assert_verified();
}
