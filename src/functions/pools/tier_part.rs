//! `tier_part(…)`: the part of a row of a pool in one tier.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{DataFusionError, exec_datafusion_err};
use datafusion::logical_expr::{Documentation, ScalarUDF};

use super::columns::{decimals, fits, optional};
use super::ratio::scaled;
use super::row_error::RowError;
use crate::functions::scalar_function::ScalarFunction;
use crate::functions::section::SECTION;

pub(super) fn function() -> ScalarUDF {
    let quantity = DataType::Decimal128(38, 9);
    let documentation = Documentation::builder(
        SECTION,
        "The part of a row's quantity in one tier, as DECIMAL(38,9), in metered units. Null if the row has no part \
         in the tier. In a tier with packages, a part is the difference of two totals of whole packages. The first \
         tier that is not empty has no lower bound, so it also contains totals below zero. In a shared pool, the \
         part is the row's share of the tier in proportion to usage. It is the difference of two running shares, \
         rounded half away from zero. Usage of zero is in the tier that contains the running total. A result of more \
         than 38 digits is an error.",
        "tier_part(quantity, before, after, total, floor, ceiling, package, package_rounding, is_shared, \
         priced_number)",
    )
    .with_argument("quantity", "DECIMAL(38,9), not null. The quantity of the row.")
    .with_argument("before", "DECIMAL(38,9), not null. The total of the pool before the row.")
    .with_argument("after", "DECIMAL(38,9), not null. The total of the pool after the row.")
    .with_argument("total", "DECIMAL(38,9), not null. The total of the whole pool.")
    .with_argument("floor", "DECIMAL(38,9), not null. The start of the tier, exclusive.")
    .with_argument("ceiling", "DECIMAL(38,9). The end of the tier, inclusive. Null if the tier has no end.")
    .with_argument("package", "DECIMAL(38,9). The size of a package. Null if the tier has no packages.")
    .with_argument("package_rounding", "TEXT. `started` if a started package counts.")
    .with_argument("is_shared", "BOOLEAN, not null. Whether several projects share the pool.")
    .with_argument("priced_number", "BIGINT, not null. The number of the price, for errors.")
    .build();
    let mut arguments = vec![quantity.clone(); 7];
    arguments.extend([DataType::Utf8, DataType::Boolean, DataType::Int64]);
    ScalarFunction::create("tier_part", arguments, quantity, documentation, parts)
}

fn parts(columns: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let [quantities, befores, afters, totals, floors, ceilings, packages, roundings, shared, numbers] = columns else {
        return Err(exec_datafusion_err!("tier_part takes ten arguments"));
    };
    let (quantities, befores, afters) = (decimals(quantities), decimals(befores), decimals(afters));
    let (totals, floors, ceilings) = (decimals(totals), decimals(floors), decimals(ceilings));
    let (packages, roundings, shared) = (decimals(packages), roundings.as_string::<i32>(), shared.as_boolean());
    let numbers = numbers.as_primitive::<Int64Type>();
    let mut parts = Vec::with_capacity(quantities.len());
    for row in 0..quantities.len() {
        let used = PoolPosition {
            quantity: quantities.value(row),
            before: befores.value(row),
            after: afters.value(row),
            total: totals.value(row),
        };
        let tier = Tier {
            floor: floors.value(row),
            ceiling: optional(ceilings, row),
            package: optional(packages, row)
                .map(|package| (package, roundings.is_valid(row) && roundings.value(row) == "started")),
            is_shared: shared.value(row),
        };
        if !tier.is_entered(&used) {
            parts.push(None);
            continue;
        }
        let part = tier.part(&used).and_then(|part| fits(part, 38)).ok_or(RowError {
            function: "tier_part",
            priced_number: numbers.value(row),
            charge_date: None,
            problem: "the part of a tier exceeds 38 digits",
        })?;
        parts.push(Some(part));
    }
    Ok(Arc::new(Decimal128Array::from(parts).with_precision_and_scale(38, 9)?))
}

/// A row of a pool: its quantity, and the running total before and after it.
struct PoolPosition {
    quantity: i128,
    before: i128,
    after: i128,
    total: i128,
}

/// A tier of a pool. A package has a size, and counts as soon as it is started or once it is complete.
struct Tier {
    floor: i128,
    ceiling: Option<i128>,
    package: Option<(i128, bool)>,
    is_shared: bool,
}

impl Tier {
    /// Whether the tier is the first one that is not empty. It has no lower bound, so it also prices a total below
    /// zero.
    fn is_first(&self) -> bool {
        self.floor == 0 && self.ceiling.is_none_or(|ceiling| ceiling > 0)
    }

    /// Whether a row has a part in the tier. A quantity of zero belongs to the tier that contains its pool's running
    /// total. If that total equals a bound, the quantity belongs to the tier that begins at the bound.
    fn is_entered(&self, used: &PoolPosition) -> bool {
        let ends_above = |bound: i128| self.ceiling.is_none_or(|ceiling| ceiling > bound);
        if self.is_shared {
            return (used.total > self.floor && ends_above(self.floor)) || (used.total <= 0 && self.is_first());
        }
        let is_at_floor = used.quantity == 0 && used.after == self.floor;
        (used.before.max(used.after) > self.floor || is_at_floor || self.is_first())
            && ends_above(used.before.min(used.after))
    }

    /// The part of a row in the tier. The part of a row that lowers the running total is negative.
    fn part(&self, used: &PoolPosition) -> Option<i128> {
        let capped = |reached: i128| self.ceiling.map_or(reached, |ceiling| reached.min(ceiling));
        if !self.is_shared {
            let lowest = if self.is_first() { i128::MIN } else { self.floor };
            let inside = |reached: i128| self.packed(capped(reached).max(lowest).checked_sub(self.floor)?);
            return inside(used.after)?.checked_sub(inside(used.before)?);
        }
        if used.total == 0 {
            return Some(used.quantity);
        }
        // The projects of a shared pool have equal rank. A project's share of the tier equals its share of the total.
        // The code computes each share as the difference of two running shares.
        let ceiling = self.floor.checked_add(self.packed(capped(used.total) - self.floor)?)?;
        let share = |reached: i128, bound: i128| scaled(reached, bound, used.total);
        let of_ceiling = share(used.after, ceiling)?.checked_sub(share(used.before, ceiling)?)?;
        of_ceiling.checked_sub(share(used.after, self.floor)?)?.checked_add(share(used.before, self.floor)?)
    }

    /// The quantity in whole packages. Below zero, packages count once they are complete.
    fn packed(&self, inside: i128) -> Option<i128> {
        let Some((package, counts_started)) = self.package else { return Some(inside) };
        let rest = inside.checked_rem(package)?;
        (inside - rest).checked_add(if counts_started && rest > 0 { package } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use crate::functions::tests::value;

    /// A part: quantity, before, after, total; floor, ceiling, package; the rounding of packages; shared or not.
    async fn part(numbers: [&str; 7], rounding: &str, is_shared: bool) -> String {
        let numbers = numbers.map(|number| format!("CAST({number} AS DECIMAL(38,9))")).join(", ");
        value(&format!("tier_part({numbers}, CAST({rounding} AS TEXT), {is_shared}, CAST(7 AS BIGINT))")).await
    }

    #[tokio::test]
    async fn a_row_is_cut_at_the_bounds_of_a_tier() {
        let of = async |floor, ceiling| part(["6", "2", "8", "8", floor, ceiling, "NULL"], "NULL", false).await;
        assert_eq!(of("0", "5").await, "3.000000000");
        assert_eq!(of("5", "7").await, "2.000000000");
        assert_eq!(of("7", "NULL").await, "1.000000000");
        assert_eq!(of("8", "NULL").await, "");
        assert_eq!(of("0", "2").await, "");
    }

    #[tokio::test]
    async fn packages_count_once_started_or_complete() {
        let of = async |rounding| part(["6", "2", "8", "8", "0", "NULL", "5"], rounding, false).await;
        // Two are a started package of five, and eight are two of them.
        assert_eq!(of("'started'").await, "5.000000000");
        assert_eq!(of("'complete'").await, "5.000000000");
        assert_eq!(part(["1", "5", "6", "6", "0", "NULL", "5"], "'complete'", false).await, "0.000000000");
        assert_eq!(part(["1", "5", "6", "6", "0", "NULL", "5"], "'started'", false).await, "5.000000000");
    }

    #[tokio::test]
    async fn a_shared_tier_is_divided_in_proportion_to_usage() {
        // The second tier contains 6 of 10. A project with 4 of 10 has 2.4 of the 6.
        let of = async |quantity, before, after| {
            part([quantity, before, after, "10", "4", "NULL", "NULL"], "NULL", true).await
        };
        assert_eq!(of("4", "0", "4").await, "2.400000000");
        assert_eq!(of("6", "4", "10").await, "3.600000000");
    }

    #[tokio::test]
    async fn usage_of_zero_is_in_the_tier_that_begins_at_the_total() {
        assert_eq!(part(["0", "5", "5", "9", "5", "NULL", "NULL"], "NULL", false).await, "0.000000000");
        assert_eq!(part(["0", "5", "5", "9", "0", "5", "NULL"], "NULL", false).await, "");
    }

    #[tokio::test]
    async fn an_overflow_names_the_price() {
        let most = "'99999999999999999999999999999'";
        let message = part([most, "'-99999999999999999999999999999'", most, most, "0", "NULL", "NULL"], "NULL", false);
        let message = message.await;
        assert!(message.contains("exceeds 38 digits, in usage with the price 7"), "{message}");
    }
}
