//! The sign-off of a month: who approved which documents, and which blockers were overridden for which reason.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{LATE_30, NOVEMBER, OCTOBER, issued, lake, prices};
use crate::test_lake::{TestLake, stderr_of};

/// The project `stranger` has no account. The close is forced and approved, then late usage is approved by another
/// person.
#[test]
fn a_forced_close_and_its_approval_are_visible_everywhere() {
    let lake = lake();
    lake.deliver("stranger", ["m,c,2026-10-03T10:00:00Z,1,stranger"]);
    let close = ["close", "--period", OCTOBER, "--issue-date", "2026-11-02"];
    let message = lake.fails(2, &[&close[..], &["--force"]].concat());
    assert!(message.contains("--reason <TEXT>"), "{message}");
    lake.fails(2, &[&close[..], &["--approved-by", ""]].concat());
    assert!(issued(&lake).is_empty());
    let forced = ["--force", "--reason", "a trial <of> stranger", "--approved-by", "A. Meyer"];
    lake.close_with(OCTOBER, "2026-11-02", &forced);
    lake.deliver("late", ["m,b,2026-10-09T10:00:00Z,10,q"]);
    lake.close_with(OCTOBER, "2026-11-03", &["--approved-by", "B. Weber"]);

    let blocker = "usage without an account, more than `max_unattributed` = 0: `stranger`";
    let audit = lake.succeeds(&["audit", "--period", OCTOBER]);
    let status = lake.succeeds(&["status"]);
    for text in [&audit, &status] {
        for part in ["A. Meyer", "B. Weber", "a trial <of> stranger", "unassigned usage", blocker] {
            assert!(text.contains(part), "no `{part}` in {text}");
        }
    }
    let index = lake.document(OCTOBER, "index.html");
    let on_page = "more than <code>max_unattributed</code> = 0: <code>stranger</code>";
    for part in ["A. Meyer", "B. Weber", "a trial &lt;of&gt; stranger", "Closed by force", on_page] {
        assert!(index.contains(part), "no `{part}` in {index}");
    }
    let closes = &lake.json(&["audit", "--period", OCTOBER])["closes"];
    let expected = json!([
        {
            "commit": 1, "period": OCTOBER, "issue_date": "2026-11-02", "cause": "close",
            "approved_by": "A. Meyer", "reasons": ["a trial <of> stranger"],
            "overridden_blockers": [{
                "kind": "unassigned_usage", "count": 1, "limit": 0, "detail": blocker,
                "costs": [{ "amount": "0.10", "currency": "EUR" }],
            }],
        },
        {
            "commit": 3, "period": OCTOBER, "issue_date": "2026-11-03", "cause": "late_usage",
            "approved_by": "B. Weber",
        },
    ]);
    assert_eq!(*closes, expected);
    let commits = &lake.json(&["status"])["commits"];
    assert_eq!([&commits[1]["close"], &commits[3]["close"]], [&expected[0], &expected[1]]);
    assert!(commits[0]["close"].is_null(), "{commits}");
    lake.assert_all_reproduced();
}

#[test]
fn a_restatement_records_who_approved_it() {
    let lake = lake();
    lake.close(OCTOBER, "2026-11-02");
    lake.replace("rules/rules.toml", "0.10", "0.20");
    let restate = ["restate", "--period", OCTOBER, "--issue-date", "2026-12-01", "--reason", "a mistake"];
    lake.fails(2, &[&restate[..], &["--approved-by", "A. Meyer"]].concat());
    lake.json(&[&restate[..], &["--approve", "--approved-by", "A. Meyer"]].concat());
    let closes = &lake.json(&["audit", "--period", OCTOBER])["closes"];
    assert_eq!(
        (closes[1]["cause"].as_str(), closes[1]["approved_by"].as_str()),
        (Some("changed_rule"), Some("A. Meyer"))
    );
    assert_eq!(closes[1]["reasons"], json!(["a mistake"]));
    assert!(closes[0]["approved_by"].is_null());
    lake.assert_all_reproduced();
}

/// A close with `--dry-run --json`, its exit code and its standard error. The lake must not change.
fn dry_run(lake: &TestLake, issue_date: &str, more: &[&str]) -> (Value, i32, String) {
    let before = lake.files("lake");
    let close = ["close", "--period", OCTOBER, "--issue-date", issue_date, "--dry-run", "--json"];
    let output = lake.output(&[&close[..], more].concat());
    assert!(lake.files("lake") == before, "a dry run changed the lake");
    let message = stderr_of(&output);
    (serde_json::from_slice(&output.stdout).unwrap_or_default(), output.status.code().unwrap(), message)
}

/// The documents of a preview: number, kind, account, project, without tax, tax, with tax, due date, corrected document
/// and reason.
fn planned(preview: &Value) -> Vec<String> {
    let columns = ["number", "kind", "account_id", "project_id"];
    let amounts = ["total_without_tax", "tax_amount", "total_with_tax", "due_date", "corrects", "reason"];
    let text = |document: &Value, name: &&str| document[*name].as_str().unwrap_or("-").to_owned();
    let of = |document: &Value| columns.iter().chain(&amounts).map(|name| text(document, name)).collect::<Vec<_>>();
    preview["documents"].as_array().unwrap().iter().map(|document| of(document).join(" ")).collect()
}

/// The same columns of the documents that were issued on a date.
fn issued_on(lake: &TestLake, date: &str) -> Vec<String> {
    let rows = lake.json(&[
        "sql",
        &format!(
            "SELECT document_number, issued_document.document_kind, invoice.account_id, invoice.project_id, \
         CAST(total_without_tax AS DECIMAL(28,2)) AS net, CAST(tax_amount AS DECIMAL(28,2)) AS tax, \
         CAST(issued_document.total_with_tax AS DECIMAL(28,2)) AS gross, \
         COALESCE(CAST(due_date AS TEXT), '-') AS due, \
         COALESCE(corrects, '-') AS corrected, \
         COALESCE(reason, '-') AS cause \
         FROM issued_document JOIN invoice ON invoice_number = document_number \
         WHERE issued_document.issue_date = DATE '{date}' ORDER BY chain_number"
        ),
    ]);
    let text = |row: &Value| {
        let cells = row.as_object().unwrap().values();
        cells.map(|cell| cell.as_str().unwrap()).collect::<Vec<_>>().join(" ")
    };
    rows.as_array().unwrap().iter().map(text).collect()
}

/// `p` has 9.00. `q` has 2.00, less than the minimum, until a file with 40 GB more arrives that only the close reads.
/// Then the month is corrected: `p` loses 9.00. The 2.00 of `q` are replaced by 3.00 on the same day.
#[test]
fn a_dry_run_shows_the_documents_of_the_close_that_follows_and_writes_nothing() {
    let lake = lake().config("seller.payment_days = 14\nminimum_invoice_amount = \"5.00\"");
    let (preview, code, _) = dry_run(&lake, "2026-11-02", &[]);
    assert_eq!((code, planned(&preview).len()), (0, 1));
    assert!(!lake.path("lake").exists(), "a dry run created the lake");
    lake.run(OCTOBER);
    let (preview, code, _) = dry_run(&lake, "2026-11-02", &[]);
    let first = "INV-2026-00001 invoice acme p 9.00 1.80 10.80 2026-11-16 - -";
    assert_eq!((code, planned(&preview)), (0, vec![first.to_owned()]));
    let carried = json!([{
        "kind": "carried_forward", "account_id": "acme", "project_id": "q", "currency": "EUR",
        "carried_forward": "2.00",
    }]);
    assert_eq!(preview["not_issued"], carried);
    assert_eq!(preview["intake_commit"], Value::Null);

    lake.deliver("second", ["m,b,2026-10-09T10:00:00Z,40,q"]);
    let (preview, code, _) = dry_run(&lake, "2026-11-02", &[]);
    let second = "INV-2026-00002 invoice acme q 6.00 1.20 7.20 2026-11-16 - -";
    assert_eq!((code, planned(&preview)), (0, vec![first.to_owned(), second.to_owned()]));
    assert_eq!((&preview["files_read"], &preview["not_issued"]), (&json!(1), &json!([])));
    lake.close(OCTOBER, "2026-11-02");
    assert_eq!(issued_on(&lake, "2026-11-02"), planned(&preview));

    let (preview, code, _) = dry_run(&lake, "2026-11-03", &[]);
    assert_eq!((code, planned(&preview).len(), &preview["was_closed"]), (0, 0, &json!(true)));
    lake.retract("usage.csv", "measured twice");
    lake.deliver("corrected", ["m,b,2026-10-02T11:00:00Z,30,q"]);
    let (preview, code, _) = dry_run(&lake, "2026-11-03", &[]);
    let expected = [
        "CN-2026-00001 credit_note acme p -9.00 -1.80 -10.80 - INV-2026-00001 changed_record",
        "INV-2026-00003 invoice acme q 1.00 0.20 1.20 2026-11-17 INV-2026-00002 changed_record",
    ];
    assert_eq!((code, planned(&preview)), (0, expected.map(str::to_owned).to_vec()));
    assert_eq!(preview["changes"].as_array().unwrap().len(), 2);
    lake.close(OCTOBER, "2026-11-03");
    assert_eq!(issued_on(&lake, "2026-11-03"), planned(&preview));
}

/// The unassigned project `stranger` has a document of its own. The dry run lists the blockers beside the documents. It
/// ends as the close ends: with exit code 3, or with 0 by force. A wrong issue date is refused in both.
#[test]
fn a_dry_run_ends_with_the_exit_code_of_the_close() {
    let lake = lake();
    lake.deliver("stranger", ["m,c,2026-10-03T10:00:00Z,1,stranger"]);
    let (preview, code, message) = dry_run(&lake, "2026-10-31", &[]);
    assert_eq!((code, preview["refused"].as_bool(), planned(&preview).len()), (3, Some(true), 3));
    let kinds: Vec<_> = preview["blockers"].as_array().unwrap().iter().map(|blocker| &blocker["kind"]).collect();
    assert_eq!(kinds, ["period_not_ended", "unassigned_usage"]);
    assert_eq!(message, lake.close_fails(3, OCTOBER, "2026-10-31"));
    let (preview, code, _) = dry_run(&lake, "2026-10-31", &["--force", "--reason", "a test"]);
    assert_eq!((code, preview["refused"].as_bool()), (0, Some(false)));
    assert!(lake.rows("issued_document").is_empty());
    let text = lake.succeeds(&[
        "close",
        "--period",
        OCTOBER,
        "--issue-date",
        "2026-10-31",
        "--dry-run",
        "--force",
        "--reason",
        "a test",
    ]);
    for part in ["INV-2026-00001", "10.80 EUR", "Blockers that --force overrides:", "Nothing was committed"] {
        assert!(text.contains(part), "no `{part}` in {text}");
    }
    lake.close_by_force(OCTOBER, "2026-10-31");
    lake.deliver("late", ["m,b,2026-10-09T10:00:00Z,10,q"]);
    let (_, code, message) = dry_run(&lake, "2026-10-30", &[]);
    assert_eq!((code, message), (2, lake.close_fails(2, OCTOBER, "2026-10-30")));
}

/// The data of the month-end pack of a month.
fn pack(lake: &TestLake, period: &str) -> Value {
    serde_json::from_str(&lake.document(period, "month-end/pack.json")).unwrap()
}

/// The members of each object, with a space between them.
fn members(objects: &Value, names: &[&str]) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let of = |object: &Value| names.iter().map(|name| text(&object[*name])).collect::<Vec<_>>().join(" ");
    objects.as_array().unwrap().iter().map(of).collect()
}

/// October: `p` has 90 GB for 9.00 and `q` 20 GB for 2.00. November: `p` has 120 GB, 100 × 0.10 + 20 × 0.08 = 11.60,
/// and `q` has none. `stranger` has no account: 5 GB for 0.50. The meter `n` has no price. November is forced.
#[test]
fn the_month_end_pack_states_totals_taxes_exceptions_and_changes() {
    let unpriced_meter = r#"
        [[meter]]
        name = "n"
        aggregation = "sum"
        unit = "u"
        "#;
    let lake = lake().rules(prices("0.10", "0.08") + unpriced_meter);
    lake.close_with(OCTOBER, "2026-11-02", &["--approved-by", "A. Meyer"]);
    let october = pack(&lake, OCTOBER);
    assert_eq!(october["month_before"], json!({ "period": "2026-09", "state": "not billed" }));
    assert_eq!(october["exceptions"], json!([]));
    lake.deliver(
        "november",
        ["m,a,2026-11-01T10:00:00Z,120,p", "m,c,2026-11-03T10:00:00Z,5,stranger", "n,a,2026-11-05T10:00:00Z,7,p"],
    );
    let forced = ["--force", "--reason", "a trial of <stranger>", "--approved-by", "B. Weber"];
    lake.close_with(NOVEMBER, "2026-12-01", &forced);
    let november = pack(&lake, NOVEMBER);

    let total = ["currency", "document_count", "total_without_tax", "tax_amount", "total_with_tax", "amount_due"];
    // 11.60 + 0.50 = 12.10; the tax of 20 % is 2.32 + 0.10.
    assert_eq!(members(&november["totals"], &total), ["EUR 2 12.10 2.42 14.52 14.52"]);
    let document = ["number", "account_id", "project", "total_without_tax", "tax_amount", "total_with_tax"];
    let documents = ["INV-2026-00003 acme p 11.60 2.32 13.92", "INV-2026-00004 stranger stranger 0.50 0.10 0.60"];
    assert_eq!(members(&november["documents"], &document), documents);
    let tax = ["country", "category", "rate", "document_count", "taxable_amount", "tax_amount"];
    assert_eq!(members(&november["taxes"], &tax), ["null S 20 1 0.50 0.10", "FR S 20 1 11.60 2.32"]);
    let exception = ["kind", "subject", "detail", "item_count", "quantity", "unit", "amount", "currency"];
    let exceptions = ["unrated_usage n no_rule 1 7 u null null", "unassigned_project stranger  1 null null 0.50 EUR"];
    assert_eq!(members(&november["exceptions"], &exception), exceptions);
    let where_and_when = ["account_id", "project_id", "first_date", "last_date", "resources"];
    let places = [r#"acme p 2026-11-05 2026-11-05 ["a"]"#, r#"null stranger 2026-11-03 2026-11-03 ["c"]"#];
    assert_eq!(members(&november["exceptions"], &where_and_when), places);
    let of_account = ["account_id", "document_count", "total_without_tax", "tax_amount", "total_with_tax"];
    let account_totals = ["acme 1 11.60 2.32 13.92", "stranger 1 0.50 0.10 0.60"];
    assert_eq!(members(&november["account_totals"], &of_account), account_totals);
    let account = ["account_id", "amount_before", "amount", "difference"];
    assert_eq!(members(&november["accounts"], &account), ["acme 11.00 11.60 0.60", "stranger 0.00 0.50 0.50"]);
    // 110 GB at 0.10 before; 120 GB are not in proportion, because 20 of them cost 0.08.
    let cause = ["cause", "quantity_before", "quantity", "amount_before", "amount", "difference"];
    let causes = &november["accounts"][0]["largest_causes"];
    assert_eq!(members(causes, &cause), ["quantity_and_price 110 120 11.00 11.60 0.60"]);
    assert_eq!(members(&november["services"], &["amount_before", "amount", "difference"]), ["11.00 12.10 1.10"]);
    let unreconciled = november["reconciliation"].as_array().unwrap().iter().filter(|one| one["is_reconciled"] != true);
    assert_eq!(unreconciled.count(), 0, "{november:#}");
    assert_eq!(november["month_before"], json!({ "period": "2026-10", "state": "closed" }));

    // The forced close is in all four places: audit, status, index and pack.
    let blocker = "usage without an account, more than `max_unattributed` = 0: `stranger`";
    let (index, page) = (lake.document(NOVEMBER, "index.html"), lake.document(NOVEMBER, "month-end/pack.html"));
    let audit = lake.succeeds(&["audit", "--period", NOVEMBER]);
    let on_page = "usage without an account, more than <code>max_unattributed</code> = 0: <code>stranger</code>";
    let places = [(&index, on_page), (&page, on_page), (&audit, blocker), (&lake.succeeds(&["status"]), blocker)];
    for (text, blocker) in places {
        for part in ["B. Weber", "a trial of ", blocker] {
            assert!(text.contains(part), "no `{part}` in {text}");
        }
    }
    assert!(page.contains("a trial of &lt;stranger&gt;") && index.contains("month-end/pack.html"));
    lake.assert_all_reproduced();
}

/// The digest to sign is that of the list of digests. The audit computes it again. A correction has a new pack with all
/// documents of the month, and its totals are the sums of the documents.
#[test]
fn the_digest_to_sign_covers_every_document_of_the_month() {
    let lake = lake();
    lake.close(OCTOBER, "2026-11-02");
    let first = lake.json(&["audit", "--period", OCTOBER])["digest"].as_str().unwrap().to_owned();
    lake.deliver("late", LATE_30);
    lake.close_with(OCTOBER, "2026-11-03", &["--approved-by", "A. Meyer"]);
    let documents = lake.documents(OCTOBER);
    let list = String::from_utf8(documents["month-end/SHA256SUMS"].clone()).unwrap();
    let unlisted = ["month-end/SHA256SUMS", "month-end/pack.html"];
    let line = |(name, bytes): (&String, &Vec<u8>)| format!("{}  {name}\n", hex::encode(Sha256::digest(bytes)));
    let expected: String = documents.iter().filter(|(name, _)| !unlisted.contains(&name.as_str())).map(line).collect();
    assert_eq!(list, expected);
    let digest = hex::encode(Sha256::digest(&list));
    assert_eq!(lake.json(&["audit", "--period", OCTOBER])["digest"], json!(digest));
    assert!(digest != first && lake.document(OCTOBER, "month-end/pack.html").contains(&digest));
    // 9.00 and 2.00, then 2.60 of late usage, each with 20 percent.
    let pack = pack(&lake, OCTOBER);
    let total = ["document_count", "total_without_tax", "tax_amount", "total_with_tax"];
    assert_eq!(members(&pack["totals"], &total), ["3 13.60 2.72 16.32"]);
    let sums = "SELECT CAST(SUM(total_without_tax) AS DECIMAL(28,2)) AS net, \
                CAST(SUM(total_with_tax) AS DECIMAL(28,2)) AS gross FROM invoice WHERE document_kind = 'invoice'";
    assert_eq!(lake.json(&["sql", sums]), json!([{ "net": "13.60", "gross": "16.32" }]));
    let corrects = ["number", "corrects", "reason"];
    assert_eq!(members(&pack["documents"], &corrects)[2], "INV-2026-00003 INV-2026-00001 late_usage");
    assert_eq!(members(&pack["close_decisions"], &["cause", "approved_by"]), ["close null", "late_usage A. Meyer"]);
    let path = format!("lake/{}/month-end/taxes.csv", lake.latest(OCTOBER));
    lake.put(&path, lake.text(&path).replace("FR", "DE"));
    assert!(lake.audit_fails(OCTOBER).contains("month-end/taxes.csv"));
}
