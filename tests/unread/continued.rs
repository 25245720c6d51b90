//! Deliveries that were read before they were complete. The complete delivery replaces the part: nothing counts twice,
//! and the rejection of the part no longer counts against `max_rejected` nor blocks a close.

use super::inputs::{SOURCES, Usage, file, gzip, lake};
use super::{PERIOD, PRICE, assert_billed};
use crate::test_lake::TestLake;

/// The quantities of the records of a file, in units of the ninth decimal place: 1, 2.5 and 123456789.
const QUANTITIES: [i128; 3] = [1_000_000_000, 2_500_000_000, 123_456_789_000_000_000];

fn content(source: usize, is_compressed: bool) -> Vec<u8> {
    let usage: Vec<Usage> = QUANTITIES.iter().zip(0..).map(|(units, number)| Usage::good(number, *units)).collect();
    let bytes = file(source, &usage);
    if is_compressed { gzip(&bytes) } else { bytes }
}

/// The part lacks the last five bytes, so the last record is not complete. In the first night it exceeds the limit.
fn arrives_in_parts(source: usize, is_compressed: bool, names: [&str; 2]) {
    let (directory, format) = SOURCES[source];
    let case = format!("{format} {directory} {is_compressed} {names:?}");
    let lake = lake(PRICE);
    let whole = content(source, is_compressed);
    lake.put(&format!("{directory}/{}", names[0]), &whole[..whole.len() - 5]);
    let run = ["run", "--period", PERIOD, "--max-rejected", "0"];
    lake.fails(3, &run);
    assert_eq!(lake.rows("rejected_record").len(), 1, "{case}");
    lake.put(&format!("{directory}/{}", names[1]), &whole);
    lake.succeeds(&run);
    assert_billed(&lake, &QUANTITIES);
    assert!(lake.rows("rejected_record").is_empty(), "{case}");
    let reasons = lake.column("retracted_file", "reason");
    let is_replaced = |reason: &String| reason.ends_with("begins with the same content and replaces it");
    assert!(reasons.len() == 1 && is_replaced(&reasons[0]), "{case}: {reasons:?}");
    let complete = self::lake(PRICE);
    complete.put(&format!("{directory}/{}", names[1]), &whole);
    complete.run(PERIOD);
    let lines = |lake: &TestLake| lake.sql("SELECT sku, quantity, net_amount, charge_period_start FROM invoice_line");
    assert_eq!(lines(&lake), lines(&complete), "{case}");
    lake.close(PERIOD, "2026-11-02");
    lake.assert_audited(&[PERIOD]);
    lake.assert_all_reproduced();
}

/// All formats with quantities. Parquet has its own compression.
#[test]
fn a_delivery_of_every_format_that_was_cut_off_is_replaced_by_the_whole_one() {
    for source in 0..SOURCES.len() - 1 {
        arrives_in_parts(source, false, ["usage", "usage"]);
    }
}

#[test]
fn a_compressed_delivery_that_was_cut_off_is_replaced_by_the_whole_one() {
    for source in (0..SOURCES.len() - 1).filter(|source| SOURCES[*source].1 != "parquet") {
        arrives_in_parts(source, true, ["usage.gz", "usage.gz"]);
    }
}

#[test]
fn the_whole_delivery_may_have_another_name() {
    arrives_in_parts(0, false, ["usage.part", "usage"]);
    arrives_in_parts(2, true, ["usage.part", "usage.gz"]);
}

const HEADER: &str = "meter,resource_id,measured_at,project_id,quantity\n";

fn row(resource: &str, quantity: &str) -> String {
    format!("m,{resource},2026-10-05T10:00:00Z,p,{quantity}\n")
}

fn small() -> TestLake {
    TestLake::of_one_rule(r#"aggregation = "sum""#, r#"unit_price = "1""#)
}

/// The first night reads 12 in place of 123.5, because the file ends within the number: 1 + 12 = 13. The second night
/// reads the whole file: 1 + 123.5 = 124.5.
#[test]
fn a_number_that_was_cut_off_is_replaced_by_the_whole_one() {
    let lake = small();
    let whole = HEADER.to_owned() + &row("a", "1") + &row("b", "123.5");
    lake.put("usage/1.csv", &whole[..whole.len() - "3.5\n".len()]);
    lake.run(PERIOD);
    assert_eq!(lake.column("invoice", "total_without_tax"), ["13.0000"]);
    lake.put("usage/1.csv", &whole);
    lake.run(PERIOD);
    assert_eq!(lake.column("invoice", "total_without_tax"), ["124.5000"]);
    assert!(lake.rows("rejected_record").is_empty());
}

/// A file that grows by whole lines is no part of a delivery. Its first records are duplicates.
#[test]
fn a_file_that_grows_by_whole_lines_has_duplicates() {
    let lake = small();
    lake.put("usage/1.csv", HEADER.to_owned() + &row("a", "1"));
    lake.run(PERIOD);
    lake.put("usage/1.csv", HEADER.to_owned() + &row("a", "1") + &row("b", "2"));
    let intake = lake.run(PERIOD).intake;
    assert_eq!((intake.samples_accepted, intake.samples_duplicate), (1, 1));
    assert!(lake.rows("retracted_file").is_empty());
    assert_eq!(lake.column("invoice", "total_without_tax"), ["3.0000"]);
}

/// Another content at the same place does not contain the lost record, so the rejection remains.
#[test]
fn another_file_at_the_same_place_replaces_nothing() {
    let lake = small();
    lake.put("usage/1.csv", HEADER.to_owned() + &row("a", "1") + "m,b,2026-10-");
    lake.run(PERIOD);
    lake.put("usage/1.csv", HEADER.to_owned() + &row("c", "2") + &row("d", "4") + &row("e", "8"));
    lake.run(PERIOD);
    assert_eq!(lake.column("rejected_record", "reason"), ["truncated"]);
    assert_eq!(lake.column("invoice", "total_without_tax"), ["15.0000"]);
}

/// The part was billed in a closed month: 1. The whole delivery adds 2, and changes nothing else.
#[test]
fn a_part_of_a_closed_month_is_replaced_by_a_correction() {
    let lake = small().config(r#"closing.charge_increases_as = "separate_invoice""#);
    let whole = HEADER.to_owned() + &row("a", "1") + &row("b", "2");
    lake.put("usage/1.csv", &whole[..whole.len() - 10]);
    lake.close_by_force(PERIOD, "2026-11-02");
    assert_eq!(lake.column("invoice", "total_without_tax"), ["1.0000"]);
    lake.put("usage/1.csv", &whole);
    let changes = lake.run_closed(PERIOD);
    assert!(changes.len() == 1 && changes[0].starts_with("p p 2.00 EUR"), "{changes:?}");
    lake.close(PERIOD, "2026-11-05");
    lake.assert_audited(&[PERIOD]);
}

/// A file with the header of its compression only begins like every compressed file. Another file does not replace it,
/// so its rejection stays.
#[test]
fn the_header_of_a_compression_is_no_part_of_another_delivery() {
    let lake = small();
    let whole = gzip((HEADER.to_owned() + &row("a", "1")).as_bytes());
    lake.put("usage/1.csv.gz", &whole[..10]);
    lake.run(PERIOD);
    let reasons = lake.column("rejected_record", "reason");
    assert_eq!(reasons, ["truncated"]);
    lake.put("usage/2.csv.gz", &whole);
    lake.run(PERIOD);
    assert_eq!(lake.column("rejected_record", "reason"), reasons);
    assert!(lake.rows("retracted_file").is_empty());
    assert_eq!(lake.column("invoice", "total_without_tax"), ["1.0000"]);
}
