//! A meter that accepts negative records, such as refunded traffic.

use super::{NOVEMBER, OCTOBER, assert_balanced, issued, lake, lake_with_next_invoice, lines, prices};
use crate::test_lake::{TestLake, chain};

fn signed(lake: TestLake) -> TestLake {
    lake.rules(prices("0.10", "0.08").replacen("aggregation = \"sum\"", "aggregation = \"sum\"\nsigned = true", 1))
}

/// 150 GB less 80 GB are 70 GB at 0.10, which is 7.00, or 8.40 with 20 percent tax. The part above 100 GB is taken back
/// in its own tier, so it has no line.
#[test]
fn refunded_traffic_is_charged_as_the_total() {
    let lake = signed(lake()).usage(["m,a,2026-10-01T10:00:00Z,150,p", "m,a,2026-10-02T10:00:00Z,-80,p"]);
    lake.run(OCTOBER);
    assert_eq!(lake.rows("rejected_record").len(), 0);
    let metered: Vec<String> = lake.column("metered_day", "consumed_quantity");
    assert_eq!(metered, ["150.000000000", "-80.000000000"]);
    lake.close(OCTOBER, "2026-11-02");
    assert_eq!(issued(&lake), ["INV-2026-00001 8.4000"]);
    assert_eq!(lines(&lake, "INV-2026-00001"), ["70.000000000 at 0.100000000000: 7.0000"]);
    assert_balanced(&lake, &[OCTOBER]);
    lake.assert_all_reproduced();
}

/// Without `signed`, the same record is rejected.
#[test]
fn a_meter_without_the_key_rejects_the_record() {
    let lake = lake().usage(["m,a,2026-10-01T10:00:00Z,150,p", "m,a,2026-10-02T10:00:00Z,-80,p"]);
    lake.run(OCTOBER);
    assert_eq!(lake.column("rejected_record", "reason"), ["negative_quantity"]);
    assert_eq!(lake.column("metered_day", "consumed_quantity"), ["150.000000000"]);
}

/// In time, 90 GB less 40 GB cost 5.00. The refund is late, so 4.00 of the invoice of 9.00 are credited: 4.80 with tax.
#[test]
fn a_late_refund_is_a_credit_note() {
    let lake = signed(lake());
    lake.run(OCTOBER);
    lake.close(OCTOBER, "2026-11-02");
    lake.deliver("late", ["m,a,2026-10-09T10:00:00Z,-40,p"]);
    assert_eq!(lake.run_closed(OCTOBER), ["acme p -4.00 EUR late_usage credit note"]);
    lake.close(OCTOBER, "2026-11-05");
    assert_eq!(issued(&lake)[2], "CN-2026-00001 -4.8000 INV-2026-00001 late_usage");
    assert_balanced(&lake, &[OCTOBER]);
    lake.assert_all_reproduced();
}

/// A month of -20 GB costs -2.00, which is carried forward. November has 50 GB: 5.00 less 2.00 are 3.00, or 3.60 with
/// tax.
#[test]
fn a_month_below_zero_is_carried_forward() {
    let lake = signed(lake_with_next_invoice()).usage(["m,a,2026-10-02T10:00:00Z,-20,p"]);
    lake.run(OCTOBER);
    assert_eq!(lake.column("invoice", "document_kind"), ["carried_forward"]);
    assert_eq!(lake.column("invoice_line", "net_amount"), ["-2.0000", "2.0000"]);
    lake.close(OCTOBER, "2026-11-02");
    assert_eq!(issued(&lake), [""; 0]);
    lake.deliver("november", ["m,a,2026-11-02T10:00:00Z,50,p"]);
    lake.run(NOVEMBER);
    lake.close(NOVEMBER, "2026-12-02");
    assert_eq!(issued(&lake), ["INV-2026-00001 3.6000"]);
    assert_balanced(&lake, &[OCTOBER, NOVEMBER]);
}

/// The usage of a removed meter is kept. If only the key is removed, the run stops until the record is retracted.
#[test]
fn a_meter_that_is_no_longer_signed_stops_the_run() {
    let lake = signed(lake()).usage(["m,a,2026-10-01T10:00:00Z,150,p", "m,a,2026-10-02T10:00:00Z,-80,p"]);
    lake.run(OCTOBER);
    lake.set_rules(prices("0.10", "0.08").replace("\"m\"", "\"other\""));
    for _ in 0..2 {
        lake.run(OCTOBER);
        assert_eq!(lake.column("metered_day", "consumed_quantity"), ["150.000000000", "-80.000000000"]);
        assert_eq!(lake.rows("unrated_usage").len(), 2);
    }
    lake.set_rules(prices("0.10", "0.08"));
    let error = chain(&lake.try_run(OCTOBER).unwrap_err());
    assert!(error.contains("no_quantity_is_negative"), "{error}");
}
