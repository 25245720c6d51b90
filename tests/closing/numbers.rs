//! Document numbers have no gap, follow the order of issue dates, and form one series for each seller.

use std::process::Command;

use super::{DECEMBER, LATE_30, NOVEMBER, OCTOBER, issued, lake, lake_with_next_invoice};
use crate::test_lake::{TestLake, assert_same_files, state, stderr_of};

/// 90 × 0.10 = 9.00 and 20 × 0.10 = 2.00, each with 20 percent of tax.
#[test]
fn a_close_numbers_its_documents_and_a_second_close_issues_nothing() {
    let lake = lake();
    lake.close(OCTOBER, "2026-11-02");
    assert_eq!(issued(&lake), ["INV-2026-00001 10.8000", "INV-2026-00002 2.4000"]);
    let again = lake.close(OCTOBER, "2026-11-02");
    again.assert_nothing_due();
    assert_eq!(again.commit, None);
    assert_eq!(issued(&lake).len(), 2);
}

#[test]
fn closing_opening_continues_the_numbers_of_another_system() {
    let lake = lake().config(
        r#"
        [closing]
        invoice_prefix = "R"

        [[closing.opening]]
        document_kind = "invoice"
        year = 2026
        number = 501
        "#,
    );
    lake.close(OCTOBER, "2026-11-02");
    assert_eq!(issued(&lake), ["R2026-00501 10.8000", "R2026-00502 2.4000"]);
    lake.deliver("november", ["m,a,2026-11-01T10:00:00Z,1,p"]);
    let forced = ["close", "--period", NOVEMBER, "--issue-date", "2026-11-01", "--force", "--reason", "a test"];
    let message = lake.fails(2, &forced);
    assert!(message.contains("`R2026-00502` was issued on 2026-11-02"), "{message}");
    lake.close(NOVEMBER, "2026-12-31");
    assert_eq!(issued(&lake)[2], "R2026-00503 0.1200");
    lake.deliver("late", ["m,b,2026-10-09T10:00:00Z,10,q"]);
    lake.close(OCTOBER, "2027-01-02");
    assert_eq!(issued(&lake)[3], "R2027-00001 1.2000 R2026-00502 late_usage", "each year of issue has its own numbers");
    lake.assert_verified();
}

#[test]
fn two_concurrent_closes_issue_each_document_once() {
    let (alone, both) = (lake(), lake());
    alone.close(OCTOBER, "2026-11-02");
    let running: Vec<_> = (0..2).map(|_| both.close_command(OCTOBER, "2026-11-02").spawn().unwrap()).collect();
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", stderr_of(&output));
    }
    assert_eq!(issued(&alone), issued(&both));
    assert_same_files(&state(&alone.lake()), &state(&both.lake()), "two concurrent closes");
}

#[test]
fn invoice_prefix_is_required_when_another_seller_issues_in_the_same_lake() {
    let lake = lake();
    lake.close(OCTOBER, "2026-11-02");
    lake.configure(
        r#"
        [seller]
        name = "Successor"
        vat_id = "FR77000000625"
        "#,
    );
    lake.deliver("november", ["m,a,2026-11-01T10:00:00Z,1,p"]);
    let message = lake.close_fails(2, NOVEMBER, "2026-12-01");
    assert!(message.contains("`INV-2026-00001` was issued by the seller FR45000000593 in this lake"), "{message}");
    lake.configure(r#"closing.invoice_prefix = "S-""#);
    lake.close(NOVEMBER, "2026-12-01");
    assert_eq!(issued(&lake)[2..], ["S-2026-00001 0.1200"]);
    // The former seller issues the late usage of the previous month, with numbers of its own series.
    lake.deliver("late", ["m,b,2026-10-09T10:00:00Z,10,q"]);
    lake.close(OCTOBER, "2026-12-02");
    assert_eq!(issued(&lake)[3..], ["INV-2026-00003 1.2000 INV-2026-00002 late_usage"]);
    lake.assert_verified();
}

fn identify_by_tax_number(lake: &TestLake) {
    lake.configure(r#"seller.tax_number = "44 000""#);
    lake.remove_keys("seller", &["vat_id"]);
}

/// In the middle of the year, the seller gets a VAT id and then another name. It is still the same seller, so its
/// numbers continue without a gap. This includes corrections of the month that was closed under the old name.
#[test]
fn previous_identities_continue_the_numbers_of_a_renamed_seller() {
    let lake = lake();
    identify_by_tax_number(&lake);
    lake.close(OCTOBER, "2026-11-02");
    lake.configure(r#"seller.vat_id = "FR45000000593""#);
    lake.remove_keys("seller", &["tax_number"]);
    lake.deliver("november", ["m,a,2026-11-01T10:00:00Z,1,p", "m,a,2026-12-01T10:00:00Z,2,p"]);
    lake.close(NOVEMBER, "2026-12-01");
    assert_eq!(issued(&lake)[2..], ["INV-2026-00003 0.1200"]);
    lake.configure(r#"seller.name = "Seller & Daughters""#);
    identify_by_tax_number(&lake);
    let forced = ["close", "--period", DECEMBER, "--issue-date", "2026-12-31", "--force", "--reason", "a test"];
    let message = lake.fails(2, &forced);
    let was = "was issued by the seller Seller in this lake, but the seller is Seller & Daughters now";
    assert!(message.contains(was) && message.contains(r#"`previous_identities = ["Seller"]`"#), "{message}");
    lake.configure(r#"closing.previous_identities = ["Seller", "FR45000000593"]"#);
    lake.close_by_force(DECEMBER, "2026-12-31");
    assert_eq!(issued(&lake)[3..], ["INV-2026-00004 0.2400"]);
    lake.deliver("late", ["m,b,2026-10-09T10:00:00Z,10,q"]);
    lake.close(OCTOBER, "2026-12-31");
    assert_eq!(issued(&lake)[4..], ["INV-2026-00005 1.2000 INV-2026-00002 late_usage"]);
    assert_eq!(lake.column("issued_document", "number_series"), ["Seller"; 5]);
    lake.assert_verified();
}

/// November is closed before October. The numbers continue, and no issue date is before the date of an earlier number.
#[test]
fn issue_date_never_decreases_when_months_are_closed_in_any_order() {
    let lake = lake();
    lake.deliver("november", ["m,a,2026-11-03T10:00:00Z,10,p"]);
    lake.run(OCTOBER);
    lake.close(NOVEMBER, "2026-12-02");
    assert_eq!(issued(&lake), ["INV-2026-00001 1.2000"]);
    let message = lake.close_fails(2, OCTOBER, "2026-12-01");
    let rule = "`INV-2026-00001` was issued on 2026-12-02, and a later number needs the same or a later date";
    assert!(message.contains(rule), "{message}");
    lake.close(OCTOBER, "2026-12-02");
    assert_eq!(issued(&lake)[1..], ["INV-2026-00002 10.8000", "INV-2026-00003 2.4000"]);
    // Late usage of either month is due for that month, and corrects its own documents.
    lake.deliver("late", ["m,a,2026-10-30T10:00:00Z,1,p", "m,a,2026-11-30T10:00:00Z,2,p"]);
    lake.close(OCTOBER, "2026-12-03");
    lake.close(NOVEMBER, "2026-12-03");
    let late = ["INV-2026-00004 0.1200 INV-2026-00002 late_usage", "INV-2026-00005 0.2400 INV-2026-00001 late_usage"];
    assert_eq!(issued(&lake)[3..], late);
    super::assert_balanced(&lake, &[OCTOBER, NOVEMBER]);
}

/// Without --allow-future-date, an issue date after today is refused, because no earlier date can follow it. After such
/// a mistake, other prefixes start other sequences, and each sequence has its own order of dates.
#[test]
fn a_future_issue_date_needs_a_flag_and_other_prefixes_start_again() {
    let lake = lake();
    lake.deliver("november", ["m,a,2026-11-03T10:00:00Z,10,p"]);
    let today = |command: &mut Command| command.env("CONTO_TODAY", "2026-11-30").output().unwrap();
    let refused = today(&mut lake.close_command(OCTOBER, "2027-06-30"));
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let message = stderr_of(&refused);
    assert!(message.contains("the issue date 2027-06-30 is after today, 2026-11-30"), "{message}");
    assert!(today(lake.close_command(OCTOBER, "2027-06-30").arg("--allow-future-date")).status.success());
    assert_eq!(issued(&lake), ["INV-2027-00001 10.8000", "INV-2027-00002 2.4000"]);
    let message = lake.close_fails(2, NOVEMBER, "2026-12-01");
    assert!(message.contains("set another `invoice_prefix` and `credit_note_prefix`"), "{message}");
    lake.configure(r#"closing.invoice_prefix = "I""#);
    lake.configure(r#"closing.credit_note_prefix = "C""#);
    lake.close(NOVEMBER, "2026-12-01");
    assert_eq!(issued(&lake)[2..], ["I2026-00001 1.2000"]);
    lake.assert_audited(&[OCTOBER, NOVEMBER]);
    lake.assert_verified();
    lake.assert_all_reproduced();
}

/// Three accounts have one project each. Drafts have no number, and a close numbers documents in the order of accounts.
#[test]
fn drafts_have_no_number_and_a_close_numbers_by_account_and_project() {
    let lake = lake()
        .accounts(["a", "b", "c"].map(payer).concat())
        .usage(["c", "a", "b"].map(|project| format!("m,x-{project},2026-10-05T10:00:00Z,1,{project}")));
    lake.run(OCTOBER);
    let drafts = lake.column("invoice", "invoice_number");
    assert!(drafts.len() == 3 && drafts.iter().all(|number| number.starts_with("DRAFT-")), "{drafts:?}");
    lake.close(OCTOBER, "2026-11-02");
    let mut numbers: Vec<String> = lake
        .rows("issued_document")
        .iter()
        .map(|row| format!("{} {}", row["document_number"], row["account_id"]))
        .collect();
    numbers.sort();
    assert_eq!(numbers, ["INV-2026-00001 a", "INV-2026-00002 b", "INV-2026-00003 c"]);
}

/// The first documents keep their bytes when later ones are issued.
#[test]
fn issued_documents_keep_their_bytes_when_others_are_issued() {
    let lake = lake();
    lake.run(OCTOBER);
    lake.close(OCTOBER, "2026-11-02");
    let first = lake.documents(OCTOBER);
    lake.deliver("late", LATE_30);
    lake.close(OCTOBER, "2026-11-05");
    let now = lake.documents(OCTOBER);
    let documents: Vec<_> = first.iter().filter(|(name, _)| name.contains("INV-")).collect();
    assert!(documents.len() >= 4, "a page and a JSON file of two invoices: {documents:?}");
    for (name, bytes) in documents {
        assert_eq!(bytes, &now[name], "{name}");
    }
}

/// One account with one project of the same id.
fn payer(id: &str) -> String {
    format!(
        r#"
        [[account]]
        id = "{id}"
        name = "{id}"
        country = "FR"
        projects = ["{id}"]
        "#
    )
}

/// The last six digits of the hashes of `c-1081` and `c-1223` are both 108244, and those of `acme` are 387791. The
/// command `printf '["c-1081",null,null,"EUR"]' | sha256sum` prints a hash whose first 16 hexadecimal digits are
/// d8bc1b92d9ab8114. For `c-1223` they are 1dcc7ad97d45e414.
#[test]
fn a_payer_has_the_same_digits_in_each_month_and_run() {
    let lake = lake().config(r#"invoice_per = "account""#);
    let numbers = |period: &str, payers: &[&str]| -> Vec<String> {
        lake.set_accounts(payers.iter().map(|id| payer(id)).collect::<String>());
        for payer in payers {
            lake.deliver(&format!("{period}-{payer}"), [format!("m,x-{payer},{period}-05T10:00:00Z,10,{payer}")]);
        }
        lake.run(period);
        payers.iter().map(|id| lake.draft(period, id)).collect()
    };
    assert_eq!(numbers(OCTOBER, &["acme", "c-1223"]), ["DRAFT-2026-10-387791", "DRAFT-2026-10-108244"]);
    assert_eq!(numbers(NOVEMBER, &["acme", "c-1223"]), ["DRAFT-2026-11-387791", "DRAFT-2026-11-108244"]);
    // The account `b` between the others changes no number. The account `c-1081` is first and has equal digits.
    let found = numbers(OCTOBER, &["acme", "b", "c-1223"]);
    assert_eq!([&*found[0], &*found[2]], ["DRAFT-2026-10-387791", "DRAFT-2026-10-108244"]);
    let found = numbers(OCTOBER, &["acme", "c-1081", "c-1223"]);
    assert_eq!(found, ["DRAFT-2026-10-387791", "DRAFT-2026-10-108244", "DRAFT-2026-10-108245"]);
    lake.assert_audited(&[OCTOBER]);
}

/// Both payers have equal digits. Each correction goes to the next invoice, and each close issues one of them.
#[test]
fn corrections_on_the_next_invoice_have_different_numbers_in_all_closes() {
    let lake = lake_with_next_invoice()
        .config(r#"invoice_per = "account""#)
        .accounts(["c-1081", "c-1223"].map(payer).concat())
        .usage(["c-1081", "c-1223"].map(|id| format!("m,{id},2026-10-05T10:00:00Z,10,{id}")));
    lake.close(OCTOBER, "2026-11-02");
    let corrected = ["c-1223", "c-1081", "c-1223", "c-1081"];
    for (day, payer) in (10..).zip(corrected) {
        lake.deliver(&format!("late-{day}"), [format!("m,{payer},2026-10-{day}T10:00:00Z,10,{payer}")]);
        lake.close(OCTOBER, "2026-11-03");
    }
    let query = "SELECT account_id, invoice_number FROM invoice WHERE document_kind = 'carried_forward' \
                 ORDER BY account_id, invoice_number";
    let expected = [
        "c-1081 NEXT-2026-10-108245-1",
        "c-1081 NEXT-2026-10-108245-2",
        "c-1223 NEXT-2026-10-108244-1",
        "c-1223 NEXT-2026-10-108244-2",
    ];
    assert_eq!(lake.sql(query), expected);
    // Each amount is 10 × 0.10 = 1.00.
    lake.run(NOVEMBER);
    let lines = lake.sql(
        "SELECT line.account_id, carried_from, net_amount FROM line_reference \
         JOIN invoice_line AS line USING (invoice_number, line_number) \
         WHERE carried_from IS NOT NULL ORDER BY carried_from",
    );
    assert_eq!(lines.len(), 4, "{lines:?}");
    for (line, document) in lines.iter().zip([expected[2], expected[3], expected[0], expected[1]]) {
        assert_eq!(line, &format!("{document} 1"));
    }
    lake.assert_audited(&[OCTOBER, NOVEMBER]);
    lake.assert_verified();
}
