use super::*;
use crate::model::config::{FileFormat, Origin};
use crate::model::money::{self, Price, Quantity};
use crate::model::rule::{Divisor, Factor, PoolPeriod, PoolScope, Pricing, TierKind, TierPrice, TierUnit};

fn price(text: &str) -> Price {
    Price::parse_exact(text).unwrap()
}

const METERS: &str = r#"
[[lookup]]
name = "image_os"
file = "images.csv"

[[lookup]]
name = "regions"
values = { "eu-1" = "eu-west" }

[[meter]]
name = "instance"
aggregation = "presence"
unit = "instance-hour"
source_meters = ["vcpus", "instance"]
source_unit = "instance"
window = "30m"
max_gap = "90m"
dimensions.flavor = { from = ["flavor_name", "flavor.name"] }
dimensions.vcpus = { from = ["vcpus", "flavor.vcpus"], type = "decimal" }
dimensions.os = { lookup = "image_os", key = ["image.id"] }
dimensions.region = { from = ["region"], lookup = "regions" }
dimensions.spot = { from = ["spot"], type = "bool" }
labels = ["display_name", "user.cost_center", "image.cost_center"]

[[meter]]
name = "egress"
aggregation = "sum"
unit = "GB"
"#;

const RULES: &str = r#"
currency = "EUR"

[[rule]]
id = "list"
meter = "instance"
sku = "CMP"
service = "Compute"
line_by = ["flavor"]
price_list = "flavors.csv"
valid_from = 2026-01-01
valid_to = 2026-07-01T00:00:00Z

    [[rule.example]]
    name = "an hour"
    quantity = "1"
    vcpus = "4.0"
    spot = true
    cost = "0.02"

    [[rule.example]]
    name = "two"
    period = "2026-10"
    usage = [
        { at = 2026-10-01, resource = "a", quantity = "1", flavor = "m1", spot = "False" },
        { project = "p", quantity = "2" },
    ]
    cost = "0.04"
    net_amount = "0.04"

[[rule]]
id = "by-flavor"
meter = "instance"
priority = -1
when = "region = 'eu-west'"
sku = "CMP"
service = "Compute"
prices = { by = "vcpus", "4.0" = "0.1", "8" = "0.2" }

[[rule]]
id = "region"
meter = "instance"
factor = { by = "region", "eu-west" = "1.10" }

[[rule]]
id = "licence"
meter = "instance"
component = "licence"
pricing_quantity = "quantity * vcpus"
unit_price = { amount = "5.40", per = "1000" }

[[rule]]
id = "traffic"
meter = "egress"
sku = "NET"
service = "Network"
description = "Traffic"
pool = "traffic"
per = "resource"
every = "day"
pricing_unit = { name = "TB", of = "1000" }
tiers = "graduated"
tier = [ { up_to = "1.5", unit_price = "0.10" }, { unit_price = "0" } ]
"#;

fn files() -> Vec<(&'static str, &'static str)> {
    vec![
        ("rating-rules/meters.toml", METERS),
        ("rating-rules/compute.toml", RULES),
        ("rating-rules/images.csv", "key,value,valid_from\ni-1,windows,\n"),
        ("rating-rules/flavors.csv", "flavor,vcpus,unit_price\nm1,4.0,0.02\n"),
    ]
}

#[test]
fn every_kind_of_rule_is_read() {
    let (book, diagnostics) = read(&files());
    assert!(!diagnostics.has_errors(), "{}", lines(diagnostics));

    let names: Vec<_> = book.sources.iter().map(|source| source.name.as_str()).collect();
    let expected =
        ["compute.toml", "flavors.csv", "images.csv", "meters.toml"].map(|name| format!("rating-rules/{name}"));
    assert_eq!(names, expected);

    let instance = book.meter("instance").unwrap();
    assert_eq!((instance.window_seconds, instance.max_gap_seconds), (1_800, 5_400));
    assert_eq!(instance.source_meters, ["vcpus", "instance"]);
    let dimensions: Vec<_> = instance
        .dimensions
        .iter()
        .map(|dimension| {
            let lookup = dimension.lookup.as_ref().map(|lookup| (lookup.table.as_str(), lookup.required));
            (dimension.name.as_str(), dimension.from[0].joined(), lookup)
        })
        .collect();
    assert_eq!(
        dimensions,
        [
            ("flavor", "flavor_name".to_owned(), None),
            ("os", "image.id".to_owned(), Some(("image_os", true))),
            ("region", "region".to_owned(), Some(("regions", false))),
            ("spot", "spot".to_owned(), None),
            ("vcpus", "vcpus".to_owned(), None),
        ]
    );
    let labels: Vec<_> = instance.labels.iter().map(|label| label.name.as_str()).collect();
    assert_eq!(labels, ["display_name", "image.cost_center", "user.cost_center"]);
    let egress = book.meter("egress").unwrap();
    assert_eq!(egress.source_meters, ["egress"]);
    assert_eq!((egress.window_seconds, egress.max_gap_seconds), (3_600, 7_200));

    let list = book.rule("list").unwrap();
    // Midnight in Berlin, and an instant with an offset.
    assert_eq!(list.valid_from, Some("2025-12-31T23:00:00Z".parse::<jiff::Timestamp>().unwrap().as_microsecond()));
    assert_eq!(list.valid_to, Some("2026-07-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_microsecond()));
    assert_eq!((list.description.as_str(), list.pool.as_str(), list.component.as_str()), ("CMP", "CMP", "base"));
    assert_eq!((list.per, list.every), (PoolScope::Project, PoolPeriod::Period));
    assert_eq!(list.pricing_unit.name, "instance-hour");
    let Pricing::PriceList { file, dimensions, rows } = &list.pricing else { panic!("{:?}", list.pricing) };
    assert_eq!((file.as_str(), dimensions.join(",")), ("rating-rules/flavors.csv", "flavor,vcpus".to_owned()));
    assert_eq!((rows[0].values.join(","), rows[0].unit_price, rows[0].line), ("m1,4".to_owned(), price("0.02"), 2));

    let [one, two] = list.examples.as_slice() else { panic!("{:?}", list.examples) };
    let dimensions = |example: usize| -> Vec<String> {
        let usage = &list.examples[example].usage[0];
        usage.dimensions.iter().map(|(name, value)| format!("{name}={value}")).collect()
    };
    assert_eq!(dimensions(0), ["spot=true", "vcpus=4"]);
    assert_eq!(dimensions(1), ["flavor=m1", "spot=false"]);
    assert_eq!((one.usage[0].at, one.period.as_deref()), (None, None));
    assert_eq!((two.usage.len(), two.period.as_deref()), (2, Some("2026-10")));
    assert_eq!(two.usage[1].project_id.as_deref(), Some("p"));

    let by_flavor = book.rule("by-flavor").unwrap();
    let when = by_flavor.when.as_ref().unwrap();
    assert_eq!(&when.place.source.text[when.place.span.clone()], "region = 'eu-west'");
    let values = [("4".to_owned(), price("0.1")), ("8".to_owned(), price("0.2"))].into();
    assert_eq!(by_flavor.pricing, Pricing::Prices { by: "vcpus".to_owned(), values });

    let values = [("eu-west".to_owned(), money::Factor::parse_exact("1.1").unwrap())].into();
    let region = book.rule("region").unwrap();
    assert_eq!(region.pricing, Pricing::Factor(Factor::By { by: "region".to_owned(), values }));

    let licence = book.rule("licence").unwrap();
    assert_eq!(licence.pricing, Pricing::UnitPrice { amount: price("5.4"), per: Quantity::from_integer(1_000) });
    assert_eq!((licence.sku.as_str(), licence.service.as_str()), ("licence", "instance"));

    let traffic = book.rule("traffic").unwrap();
    assert_eq!(traffic.pricing_unit.of, Divisor::Number(Quantity::from_integer(1_000)));
    assert_eq!((traffic.per, traffic.every, traffic.pool.as_str()), (PoolScope::Resource, PoolPeriod::Day, "traffic"));
    let Pricing::Tiers { kind: TierKind::Graduated, bounds: TierUnit::Priced, tiers } = &traffic.pricing else {
        panic!("{:?}", traffic.pricing)
    };
    assert_eq!(tiers[0].up_to.map(|bound| bound.to_string()).as_deref(), Some("1.5"));
    assert_eq!((tiers[1].up_to, tiers[1].price), (None, TierPrice::Unit(Price::ZERO)));
}

#[test]
fn a_directory_is_read_with_its_subdirectories() {
    let base = tempfile::tempdir().unwrap();
    for (name, text) in files() {
        let path = base.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    std::fs::create_dir_all(base.path().join("rating-rules/more/.git")).unwrap();
    std::fs::write(base.path().join("rating-rules/more/wrong.toml"), "x = 1").unwrap();
    std::fs::write(base.path().join("rating-rules/more/.git/hidden.toml"), "x = 1").unwrap();
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let directory = base.path().join("rating-rules");
    let currency = iso_currency::Currency::EUR;
    let (book, diagnostics) = crate::load::read_rules(&directory, &zone, currency, Some(base.path()));
    let errors: Vec<_> =
        diagnostics.into_sorted().into_iter().filter(|found| found.severity == Severity::Error).collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].labels[0].0.to_string(), "rating-rules/more/wrong.toml:1:1");
    assert_eq!((book.rules.len(), book.sources.len()), (5, 5));

    let (_, diagnostics) = crate::load::read_rules(&base.path().join("none"), &zone, currency, Some(base.path()));
    assert!(diagnostics.has_errors());
    std::fs::create_dir(base.path().join("empty")).unwrap();
    let empty = base.path().join("empty");
    let (_, diagnostics) = crate::load::read_rules(&empty, &zone, currency, Some(base.path()));
    insta::assert_snapshot!(lines(diagnostics), @"rules::no_files |  | `empty` contains no rule file (`*.toml`) | add a rule file, or set `rules` in conto.toml to the directory of the rule files");
}

#[test]
fn files_with_byte_order_marks_and_crlf_are_read() {
    let meter = "\u{feff}[[meter]]\r\nname = \"m\"\r\naggregation = \"sum\"\r\nunit = \"B\"\r\nx = 1\r\n";
    assert_eq!(errors(&[("m.toml", meter)]).split(" | ").nth(1), Some("m.toml:5:1"));
}

#[test]
fn a_configuration_with_few_keys_and_one_with_all_keys_are_read() {
    let few_keys = "time_zone = 'utc'\ncurrency = 'EUR'\n[seller]\nname = 'Cloud'\n";
    let (read, diagnostics) = config(&[("conto.toml", few_keys)]);
    assert_eq!(lines(diagnostics), "");
    let read = read.unwrap();
    assert_eq!((read.lake.as_str(), read.rules.to_str().unwrap()), ("/etc/conto/lake", "/etc/conto/rating-rules"));
    assert_eq!((read.time_zone.as_str(), read.language.as_str(), read.shards), ("UTC", "en", 1));
    assert_eq!((read.tax.name.as_str(), read.tax.category.as_str(), read.tax.rate.is_zero()), ("Tax", "O", true));
    assert!(read.accounts.source.is_none());

    let all_keys = r#"
lake = "s3://bucket/lake"
rules = "/srv/rules"
accounts = "accounts.toml"
time_zone = "Europe/Berlin"
currency = "EUR"
language = "de"
shards = 16

[seller]
name = "Cloud"
address = ["Street 1", "10115 Berlin"]
country = "DE"
vat_id = "DE123"
email = "billing@example.org"
payment_terms = "14 days"

[tax]
name = "USt"
rate = "19"

[[source]]
name = "telemetry"
format = "ceilometer"
path = "usage/*.jsonl.gz"

[[source]]
name = "storage"
format = "csv"
path = "file:///data/*.csv"
columns = { quantity = "bytes" }
"#;
    let accounts = "[[account]]\nid = 'a'\nname = 'A'\ninternal = true\nprojects = ['p', { id = 'q', name = 'Q' }]\n";
    let (read, diagnostics) = config(&[("conto.toml", all_keys), ("accounts.toml", accounts)]);
    assert_eq!(lines(diagnostics), "");
    let read = read.unwrap();
    assert_eq!((read.lake.as_str(), read.rules.to_str().unwrap()), ("s3://bucket/lake", "/srv/rules"));
    assert_eq!((read.tax.category.as_str(), read.tax.rate.to_string()), ("S", "19".to_owned()));
    let [Origin::Files(telemetry), Origin::Files(storage)] = &[&read.sources[0].origin, &read.sources[1].origin][..2]
    else {
        panic!("{:?}", read.sources)
    };
    assert_eq!(telemetry.format, FileFormat::Ceilometer);
    assert_eq!(telemetry.path, "/etc/conto/usage/*.jsonl.gz");
    assert_eq!(storage.path, "file:///data/*.csv");
    assert_eq!(storage.columns["quantity"], "bytes");
    let place = &telemetry.path_place;
    assert_eq!(&place.source.text[place.span.clone()], "usage/*.jsonl.gz");
    assert_eq!(read.accounts.accounts[0].projects.len(), 2);
    assert!(read.accounts.accounts[0].internal);
    assert_eq!(read.accounts.source.unwrap().name, "/etc/conto/accounts.toml");
}

#[test]
fn quantities_with_units_are_converted_in_every_key() {
    let text = r#"
[[meter]]
name = "egress"
aggregation = "sum"
unit = "B"

[[meter]]
name = "call"
aggregation = "sum"
unit = "s"
record = { minimum = "1 min", multiple_of = "500 ms" }

[[meter]]
name = "volume"
aggregation = "max"
unit = "GiB-hour"

[[rule]]
id = "egress"
meter = "egress"
sku = "NET"
service = "Network"
pricing_unit = { name = "GB", of = "1 GB" }
free_units = "500 MB"
round_quantity = { up_to_multiple_of = "2000 MB" }
tiers = "graduated"
tier = [
    { up_to = "50 TB", unit_price = "0.05" },
    { unit_price = "1", package = "1 TB" },
]
[[rule.example]]
name = "two terabytes"
quantity = "2 TB"
cost = "100"

[[rule]]
id = "volume"
meter = "volume"
sku = "VOL"
service = "Storage"
pricing_unit = { name = "GiB-month", of = "hours_in_period" }
unit_price = { amount = "1", per = "1 TiB-month" }
[[rule.example]]
name = "a month of 744 hours"
period = "2026-08"
quantity = "2 TiB-month"
cost = "2"

[[rule]]
id = "call"
meter = "call"
sku = "CALL"
service = "Voice"
unit_price = "0.01"
cap = { hours = "90 min", price = "1" }

[[included_units]]
id = "included"
meter = "volume"
pool = "NET"
units = "1 TB"
prorated = false

[[reservation]]
id = "reserved"
account = "acme"
meter = "volume"
quantity = "1 TiB"
unit_price = "0.1"

[[recurring]]
id = "seats"
per = "account"
unit = "seat"
quantity = "3 seat"
unit_price = "1"
"#;
    let (book, problems) = read(&[("r.toml", text)]);
    assert!(!problems.has_errors(), "{}", lines(problems));
    let quantity = |text: &str| Quantity::parse_exact(text).unwrap();
    let rule = |id: &str| book.rules.iter().find(|rule| rule.id == id).unwrap();
    let egress = rule("egress");
    assert_eq!(egress.pricing_unit.of, Divisor::Number(quantity("1000000000")));
    assert_eq!(egress.free_units, quantity("0.5"));
    assert_eq!(egress.round_quantity.unwrap().multiple_of, quantity("2"));
    let Pricing::Tiers { tiers, .. } = &egress.pricing else { panic!("{:?}", egress.pricing) };
    assert_eq!(tiers[0].up_to, Some(quantity("50000")));
    assert!(matches!(tiers[1].price, TierPrice::Package(_, package) if package.size == quantity("1000")));
    assert_eq!(egress.examples[0].usage[0].quantity, quantity("2000000000000"));
    let volume = rule("volume");
    assert!(matches!(volume.pricing, Pricing::UnitPrice { per, .. } if per == quantity("1024")));
    assert_eq!(volume.examples[0].usage[0].quantity, quantity("1523712"));
    assert_eq!(rule("call").cap.unwrap().hours, quantity("1.5"));
    let record = book.meters.iter().find(|meter| meter.name == "call").unwrap().record.unwrap();
    assert_eq!((record.minimum, record.multiple_of), (quantity("60"), quantity("0.5")));
    assert_eq!(book.included_units[0].units, quantity("1000"));
    let committed =
        crate::model::commitment_discount::Committed::Quantity { quantity: quantity("1024"), unit_price: price("0.1") };
    assert_eq!(book.reservations[0].committed, committed);
    assert_eq!(book.recurring[0].quantity, quantity("3"));
}
