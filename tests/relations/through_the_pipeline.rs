//! What one relation alone cannot show: whole runs, on records that come late or that weigh nothing.

use std::path::Path;

use conto::query::{Session, statement};
use conto::storage::Lake;

use super::cells;
use crate::contracts::lake::run;

const CONFIG: &str = r#"
time_zone = "Europe/Paris"
currency = "EUR"

[seller]
name = "Cloud"

[[source]]
name = "usage"
format = "csv"
path = "usage/*.csv"
"#;

const LATE_RULES: &str = r#"
currency = "EUR"

[[meter]]
name = "vm"
aggregation = "presence"
unit = "hour"
dimensions.flavor = { from = ["flavor"] }
dimensions.zone = { from = ["zone"] }

[[meter]]
name = "egress"
aggregation = "increase"
unit = "GB"

[[meter]]
name = "volume"
aggregation = "time_weighted"
unit = "GiB-second"
max_gap = "12h"

[[rule]]
id = "vm"
meter = "vm"
sku = "VM"
service = "Compute"
line_by = ["flavor", "zone"]
prices = { by = "flavor", small = "0.02", large = "0.08" }

[[rule]]
id = "egress"
meter = "egress"
sku = "NET"
service = "Network"
tiers = "graduated"
tier = [{ up_to = "200", unit_price = "0.10" }, { unit_price = "0.05" }]
"#;

/// The records of 2 and 4 October do not say what the machine is.
const IN_TIME: &str = "\
meter,resource_id,measured_at,quantity,project_id,flavor,zone
vm,vm-1,2026-10-01T08:10:00Z,1,p1,small,a
vm,vm-1,2026-10-02T08:10:00Z,1,,,
vm,vm-1,2026-10-04T08:10:00Z,1,,,
egress,port-1,2026-10-01T08:00:00Z,100,p1,,
egress,port-1,2026-10-02T08:00:00Z,400,p1,,
egress,port-1,2026-10-04T08:00:00Z,1000,p1,,
volume,vol-1,2026-10-01T18:00:00Z,50,p1,,
";

/// All of 1 October, which ends at 22:00 UTC, and older than anything known of the dates after it.
const LATE: &str = "\
meter,resource_id,measured_at,quantity,project_id,flavor,zone
vm,vm-1,2026-10-01T20:10:00Z,1,p1,large,b
egress,port-1,2026-10-01T20:00:00Z,250,p1,,
volume,vol-1,2026-10-01T21:00:00Z,80,p1,,
";

/// A folder with configuration and rules, and a lake that a run is made into after each of these files came.
async fn delivered(rules: &str, deliveries: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("usage")).unwrap();
    std::fs::create_dir_all(folder.path().join("rating-rules")).unwrap();
    std::fs::write(folder.path().join("conto.toml"), CONFIG).unwrap();
    std::fs::write(folder.path().join("rating-rules/rules.toml"), rules).unwrap();
    for (index, records) in deliveries.iter().enumerate() {
        let file = folder.path().join(format!("usage/{index}.csv"));
        std::fs::write(file, records).unwrap();
        run(folder.path(), &folder.path().join("lake")).await;
    }
    folder
}

fn lake(folder: &Path) -> Lake {
    Lake::open(&folder.join("lake").display().to_string()).unwrap()
}

/// What each resource used on each date.
async fn days(folder: &Path) -> Vec<String> {
    let session = Session::new(None).unwrap();
    let lake = lake(folder);
    let snapshot = lake.snapshot().await.unwrap();
    for path in ["metering/metered_day", "intake/series", "intake/stream"] {
        let relation = statement(path).unwrap();
        let files = snapshot.files(&relation.name);
        session.register_files(&relation.name, relation.schema.clone(), &lake, files).unwrap();
    }
    let text = "SELECT resource_id, charge_date, description, consumed_quantity FROM metered_day \
                JOIN series ON series.series_id = metered_day.series_id \
                JOIN stream ON stream.stream_id = series.stream_id ORDER BY resource_id, charge_date, description DESC";
    let (_, batches) = session.query(text).await.unwrap();
    let mut lines = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let line: Vec<String> = batch.columns().iter().map(|column| cells::shown(column, row)).collect();
            lines.push(line.join(" "));
        }
    }
    lines
}

/// Names of the files of a relation: a name is the digest of what is in it.
async fn files(folder: &Path, relation: &str) -> Vec<String> {
    let snapshot = lake(folder).snapshot().await.unwrap();
    snapshot.files(relation).map(|file| file.path.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_record_changes_the_dates_after_it_as_if_it_had_come_in_time() {
    // port-1: 400 - 100 = 300, then 1,000 - 400. vol-1: 50 × 4 hours × 3,600, and until 12 hours are over 50 × 8 ×
    // 3,600.
    let before = delivered(LATE_RULES, &[IN_TIME]).await;
    assert_eq!(
        days(before.path()).await,
        [
            "port-1 2026-10-01 (empty) 0",
            "port-1 2026-10-02 (empty) 300",
            "port-1 2026-10-04 (empty) 600",
            "vm-1 2026-10-01 flavor=small; zone=a 1",
            "vm-1 2026-10-02 flavor=small; zone=a 1",
            "vm-1 2026-10-04 flavor=small; zone=a 1",
            "vol-1 2026-10-01 (empty) 720000",
            "vol-1 2026-10-02 (empty) 1440000",
        ]
    );
    // port-1: 250 - 100 = 150, 400 - 250 = 150. vm-1 is large when it is heard of next, two dates long. vol-1: 50 × 3
    // × 3,600 + 80 × 1 × 3,600 = 828,000, and on the next date, without a sample of its own, 80 × 11 × 3,600 =
    // 3,168,000.
    let late = delivered(LATE_RULES, &[IN_TIME, LATE]).await;
    assert_eq!(
        days(late.path()).await,
        [
            "port-1 2026-10-01 (empty) 150",
            "port-1 2026-10-02 (empty) 150",
            "port-1 2026-10-04 (empty) 600",
            "vm-1 2026-10-01 flavor=small; zone=a 1",
            "vm-1 2026-10-01 flavor=large; zone=b 1",
            "vm-1 2026-10-02 flavor=large; zone=b 1",
            "vm-1 2026-10-04 flavor=large; zone=b 1",
            "vol-1 2026-10-01 (empty) 828000",
            "vol-1 2026-10-02 (empty) 3168000",
        ]
    );
    let (_, late_rows) = LATE.split_once('\n').unwrap();
    let at_once = delivered(LATE_RULES, &[&format!("{IN_TIME}{late_rows}")]).await;
    let other_way = delivered(LATE_RULES, &[LATE, IN_TIME]).await;
    let relations =
        ["stream_state", "metered_usage", "metered_day", "rated_usage", "unrated_usage", "invoice_line", "invoice"];
    for relation in relations {
        let expected = files(at_once.path(), relation).await;
        assert!(!expected.is_empty(), "{relation}");
        assert_eq!(files(late.path(), relation).await, expected, "{relation}, late");
        assert_eq!(files(other_way.path(), relation).await, expected, "{relation}, the later records first");
    }
}

const BY_VCPU: &str = r#"
currency = "EUR"

[[meter]]
name = "vm"
aggregation = "presence"
unit = "hour"
dimensions.vcpus = { from = ["vcpus"], type = "decimal" }

[[rule]]
id = "vcpu"
meter = "vm"
sku = "VM"
service = "Compute"
pricing_quantity = "quantity * vcpus"
tiers = "graduated"
tier = [{ up_to = "2", unit_price = "0.10" }, { unit_price = "0.05" }]
"#;

/// A machine without vCPUs is priced at a quantity of nothing, first of all and again where the pool stands on a bound.
const WITHOUT_VCPUS: &str = "\
meter,resource_id,measured_at,quantity,project_id,vcpus
vm,vm-1,2026-10-01T08:10:00Z,1,p1,0
vm,vm-2,2026-10-01T08:10:00Z,1,p1,2
vm,vm-3,2026-10-01T08:10:00Z,1,p1,0
vm,vm-4,2026-10-01T08:10:00Z,1,p2,0
";

#[tokio::test(flavor = "multi_thread")]
async fn usage_that_is_priced_at_a_quantity_of_zero_stops_nothing() {
    let folder = delivered(BY_VCPU, &[WITHOUT_VCPUS]).await;
    let lake = lake(folder.path());
    let snapshot = lake.snapshot().await.unwrap();
    let rows = |relation| snapshot.files(relation).map(|file| file.rows).sum::<u64>();
    assert_eq!(rows("rated_usage"), 4, "each of the four is rated");
    assert_eq!(rows("unrated_usage"), 0);
    assert_eq!(rows("invoice_line"), 1, "2 vCPU-hours at 0.10; what weighs nothing is no line");
    assert_eq!(rows("invoice"), 1);
}
