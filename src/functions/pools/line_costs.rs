//! `line_costs(…)`: the priced quantity and the cost of each part of an invoice line.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Date32Array, Int64Array};
use arrow::datatypes::{DataType, Date32Type, Int64Type};
use datafusion::common::{DataFusionError, exec_datafusion_err};
use datafusion::logical_expr::{AggregateUDF, Documentation};

use super::columns::{ONE, decimals, fits, optional, wide};
use super::ratio::{Ratio, scaled};
use super::row_error::RowError;
use crate::functions::group_function::{GroupFunction, GroupRows, Groups};
use crate::functions::section::SECTION;

/// From units of twelve places in a price and nine places in a quantity to eighteen places in a cost.
const PLACES_OF_COST: i128 = 1_000_000;

pub(super) fn function() -> AggregateUDF {
    let (quantity, metered) = (DataType::Decimal128(38, 9), DataType::Decimal128(28, 9));
    let documentation = Documentation::builder(
        SECTION,
        "The priced quantity and the cost of each part of one invoice line. A group is a line, and its rows may \
         have any order. The function sorts them by date and number of the price, and adds rows with equal keys. A \
         part's value is the increase of the rounded running value of the line: quantity ÷ divisor, and quantity × \
         price ÷ (divisor × units of the price). So the costs add up to the rounded cost of the line, however it is \
         split. The rounding is half away from zero, at nine places of the quantity and eighteen of the cost. Rows \
         with a quantity of null are left out. The result is a list of charge_date, tier_price_number, \
         pricing_quantity DECIMAL(38,9) and contracted_cost DECIMAL(38,18). More than 38 digits and a divisor of \
         zero are errors.",
        "line_costs(charge_date, tier_price_number, quantity, divisor, unit_price, unit_price_per, priced_number)",
    )
    .with_argument("charge_date", "DATE, not null.")
    .with_argument("tier_price_number", "BIGINT, not null. The order of the parts of a date.")
    .with_argument("quantity", "DECIMAL(38,9). The part in metered units. Null if there is no part.")
    .with_argument("divisor", "DECIMAL(28,9), not null. Metered units of a priced unit, equal in the line.")
    .with_argument("unit_price", "DECIMAL(28,12), not null, equal in the line.")
    .with_argument("unit_price_per", "DECIMAL(28,9), not null. Priced units of the price, equal in the line.")
    .with_argument("priced_number", "BIGINT, not null. The number of the price, for errors.")
    .build();
    GroupFunction::create(
        "line_costs",
        vec![
            DataType::Date32,
            DataType::Int64,
            quantity.clone(),
            metered.clone(),
            DataType::Decimal128(28, 12),
            metered,
            DataType::Int64,
        ],
        vec![
            ("charge_date", DataType::Date32),
            ("tier_price_number", DataType::Int64),
            ("pricing_quantity", quantity),
            ("contracted_cost", DataType::Decimal128(38, 18)),
        ],
        documentation,
        costs,
    )
}

/// The columns of the result.
#[derive(Default)]
struct Costs {
    dates: Vec<i32>,
    numbers: Vec<i64>,
    quantities: Vec<i128>,
    costs: Vec<i128>,
}

fn costs(groups: Groups) -> Result<GroupRows, DataFusionError> {
    let Groups { columns, mut rows, mut lengths } = groups;
    let [dates, numbers, quantities, divisors, prices, pers, priced] = columns.as_slice() else {
        return Err(exec_datafusion_err!("line_costs takes seven arguments"));
    };
    let dates = dates.as_primitive::<Date32Type>().values();
    let numbers = numbers.as_primitive::<Int64Type>().values();
    let priced = priced.as_primitive::<Int64Type>().values();
    let (quantities, divisors, prices, pers) =
        (decimals(quantities), decimals(divisors), decimals(prices), decimals(pers));
    let key = |row: &u32| (dates[*row as usize], numbers[*row as usize]);
    let mut found = Costs::default();
    let mut rest = rows.as_mut_slice();
    for length in &mut lengths {
        let (group, others) = rest.split_at_mut(*length);
        rest = others;
        let before = found.dates.len();
        group.sort_unstable_by_key(key);
        let Some(first) = group.first().map(|row| *row as usize) else { continue };
        let failed = |row: u32, problem: &'static str| RowError {
            function: "line_costs",
            priced_number: priced[row as usize],
            charge_date: Some(dates[row as usize]),
            problem,
        };
        let line = Line::new(divisors.value(first), prices.value(first), pers.value(first))
            .ok_or_else(|| failed(group[0], "the divisor of a price is not positive or exceeds 38 digits"))?;
        let mut running = Running::default();
        for part in group.chunk_by(|one, next| key(one) == key(next)) {
            let mut added = None;
            for row in part {
                let Some(quantity) = optional(quantities, *row as usize) else { continue };
                added = Some(added.unwrap_or(0i128).checked_add(quantity).ok_or_else(|| failed(*row, TOO_LARGE))?);
            }
            let Some(quantity) = added else { continue };
            let (pricing_quantity, cost) =
                running.increase(&line, quantity).ok_or_else(|| failed(part[0], TOO_LARGE))?;
            let (date, number) = key(&part[0]);
            found.dates.push(date);
            found.numbers.push(number);
            found.quantities.push(pricing_quantity);
            found.costs.push(cost);
        }
        *length = found.dates.len() - before;
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Date32Array::from(found.dates)),
        Arc::new(Int64Array::from(found.numbers)),
        wide(found.quantities, 9)?,
        wide(found.costs, 18)?,
    ];
    Ok(GroupRows { columns, lengths })
}

const TOO_LARGE: &str = "the quantity or the cost of an invoice line exceeds 38 digits";

/// The conversions of the running quantity of a line.
struct Line {
    /// From metered units to priced units.
    quantity: Ratio,
    /// From metered units to 18 places of the currency.
    cost: Ratio,
}

impl Line {
    fn new(divisor: i128, unit_price: i128, unit_price_per: i128) -> Option<Self> {
        let divisor_of_cost = scaled(divisor, unit_price_per, ONE)?;
        Some(Self {
            quantity: Ratio::new(ONE, divisor)?,
            cost: Ratio::new(unit_price.checked_mul(PLACES_OF_COST)?, divisor_of_cost)?,
        })
    }
}

/// The running values of a line.
#[derive(Default)]
struct Running {
    quantity: i128,
    pricing_quantity: i128,
    cost: i128,
}

impl Running {
    /// The amounts by which a part increases the priced quantity and the cost. `None` if a value has too many digits.
    fn increase(&mut self, line: &Line, part: i128) -> Option<(i128, i128)> {
        self.quantity = self.quantity.checked_add(part)?;
        let pricing_quantity = fits(line.quantity.multiply(self.quantity)?, 38)?;
        let cost = fits(line.cost.multiply(self.quantity)?, 38)?;
        let increase =
            (fits(pricing_quantity.checked_sub(self.pricing_quantity)?, 38)?, fits(cost.checked_sub(self.cost)?, 38)?);
        (self.pricing_quantity, self.cost) = (pricing_quantity, cost);
        Some(increase)
    }
}
