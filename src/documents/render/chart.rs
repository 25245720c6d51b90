//! The geometry of the chart of daily costs: stacked bars on an axis with round ticks.
//!
//! Costs are integers, and lengths are integers in hundredths of a pixel, so the same costs result in the same bytes on
//! every machine. The edges of a stack are scaled from the running sum of costs. So there is no gap between segments,
//! and the top of a bar is the cost of the day.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;

use super::cost_error::CostError;
use super::invoice::iso_date;
use crate::model::money::{Cost, UnitPrice};

/// The number of length units in a pixel. All lengths are in hundredths of a pixel.
const PIXEL: i128 = 100;
const WIDTH: i128 = 720 * PIXEL;
const HEIGHT: i128 = 232 * PIXEL;
/// The area of the bars, with space for labels on the left, above and below.
const PLOT_LEFT: i128 = 64 * PIXEL;
const PLOT_TOP: i128 = 10 * PIXEL;
const PLOT_WIDTH: i128 = WIDTH - PLOT_LEFT;
const PLOT_HEIGHT: i128 = 196 * PIXEL;
/// The maximum width of a bar, which limits the bars of charts with few days.
const WIDEST_BAR: i128 = 36 * PIXEL;
/// The maximum number of labelled days: a month. In a longer chart, only some days are labelled.
const MOST_DAY_LABELS: usize = 31;
/// The maximum number of intervals on an axis.
const MOST_INTERVALS: i128 = 5;

/// A chart for the template; lengths are decimal text in pixels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Chart {
    width: String,
    height: String,
    plot_left: String,
    plot_right: String,
    baseline: String,
    /// The ticks from zero upwards; empty if no day has a positive cost.
    ticks: Vec<Tick>,
    bars: Vec<Bar>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Tick {
    y: String,
    /// The cost at the tick, with the decimal places of the interval.
    label: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Bar {
    #[serde(serialize_with = "iso_date")]
    charge_date: Date,
    x: String,
    width: String,
    middle: String,
    /// The day of the month; `None` if the day is not labelled.
    day: Option<String>,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Segment {
    /// The index of the service, which determines the colour.
    series: usize,
    service: String,
    y: String,
    height: String,
    contracted_cost: String,
}

impl Chart {
    /// The chart of daily costs, with one cost for each of `services`. A negative cost has no segment.
    pub(crate) fn new(services: &[String], days: &BTreeMap<Date, Vec<Option<Cost>>>) -> Result<Self, CostError> {
        let mut highest = 0;
        for costs in days.values() {
            let mut total = Cost::default();
            for cost in costs.iter().flatten().filter(|cost| cost.units() > 0) {
                total = total.checked_add(*cost).ok_or(CostError::TooLarge)?;
            }
            highest = highest.max(total.units());
        }
        let (interval, axis) = axis(highest).ok_or(CostError::TooLarge)?;
        // The scale drops digits of both factors so that their product does not overflow. The lost precision is much
        // smaller than a pixel.
        let divisor = (axis / UnitPrice::ONE.units()).max(1);
        let y_of = |units: i128| PLOT_TOP + PLOT_HEIGHT - (units / divisor) * PLOT_HEIGHT / (axis / divisor);

        let slot = PLOT_WIDTH / i128::try_from(days.len().max(1)).map_err(|_| CostError::TooLarge)?;
        let width = (slot * 72 / 100).min(WIDEST_BAR);
        let label_every = days.len().div_ceil(MOST_DAY_LABELS).max(1);
        let mut bars = Vec::with_capacity(days.len());
        let mut left = PLOT_LEFT;
        for (index, (date, costs)) in days.iter().enumerate() {
            let mut segments = Vec::new();
            let mut below = Cost::default();
            for (series, cost) in costs.iter().enumerate() {
                let Some(cost) = cost.filter(|cost| cost.units() > 0) else {
                    continue;
                };
                let above = below.checked_add(cost).ok_or(CostError::TooLarge)?;
                let (top, bottom) = (y_of(above.units()), y_of(below.units()));
                segments.push(Segment {
                    series,
                    service: services.get(series).cloned().unwrap_or_default(),
                    y: pixels(top),
                    height: pixels(bottom - top),
                    contracted_cost: cost.to_string(),
                });
                below = above;
            }
            bars.push(Bar {
                charge_date: *date,
                x: pixels(left + (slot - width) / 2),
                width: pixels(width),
                middle: pixels(left + slot / 2),
                day: (index % label_every == 0).then(|| date.day().to_string()),
                segments,
            });
            left += slot;
        }

        let mut ticks = Vec::new();
        let mut level = 0;
        while highest > 0 && level <= axis {
            ticks.push(Tick { y: pixels(y_of(level)), label: label(level, interval) });
            level += interval;
        }
        Ok(Self {
            width: pixels(WIDTH),
            height: pixels(HEIGHT),
            plot_left: pixels(PLOT_LEFT),
            plot_right: pixels(PLOT_LEFT + PLOT_WIDTH),
            baseline: pixels(PLOT_TOP + PLOT_HEIGHT),
            ticks,
            bars,
        })
    }
}

/// The interval and the top of the axis; `None` if they overflow. The interval is 1, 2 or 5 times a power of ten: the
/// smallest value that covers the highest cost in at most five steps.
fn axis(highest: i128) -> Option<(i128, i128)> {
    let mut power: i128 = 1;
    loop {
        for factor in [1, 2, 5] {
            let interval = power.checked_mul(factor)?;
            if interval.checked_mul(MOST_INTERVALS)? >= highest {
                // One more interval must not overflow, because the loop over ticks counts past the top.
                interval.checked_mul(MOST_INTERVALS + 1)?;
                let steps = (highest + interval - 1) / interval;
                return Some((interval, interval * steps.max(1)));
            }
        }
        power = power.checked_mul(10)?;
    }
}

/// The text of a level of the axis, with the decimal places of the interval.
fn label(level: i128, interval: i128) -> String {
    if level == 0 {
        return "0".to_owned();
    }
    let interval = Cost::from_units(interval).to_string();
    let places = interval.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    Cost::from_units(level).to_text(u32::try_from(places).unwrap_or(0))
}

/// Hundredths of a pixel as decimal text.
fn pixels(hundredths: i128) -> String {
    let (whole, fraction) = (hundredths / PIXEL, hundredths % PIXEL);
    match fraction {
        0 => whole.to_string(),
        _ if fraction % 10 == 0 => format!("{whole}.{}", fraction / 10),
        _ => format!("{whole}.{fraction:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(services: usize, days: &[&[&str]]) -> Chart {
        let services: Vec<String> = (0..services).map(|number| format!("service {number}")).collect();
        let first = jiff::civil::date(2026, 10, 1);
        let days = first
            .series(jiff::Span::new().days(1))
            .zip(days)
            .map(|(date, costs)| {
                let costs = costs.iter().map(|text| Some(Cost::parse_exact(text).unwrap())).collect();
                (date, costs)
            })
            .collect();
        Chart::new(&services, &days).unwrap()
    }

    /// The integer of a length in pixels.
    fn hundredths(pixels: &str) -> i128 {
        Cost::parse_exact(pixels).unwrap().units() / 10i128.pow(16)
    }

    fn labels(chart: &Chart) -> Vec<&str> {
        chart.ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn a_chart_without_costs_is_an_empty_frame() {
        let empty = chart(0, &[]);
        assert!(empty.ticks.is_empty() && empty.bars.is_empty());
        let zero = chart(1, &[&["0"], &["0.00"]]);
        assert!(zero.ticks.is_empty());
        assert!(zero.bars.iter().all(|bar| bar.segments.is_empty()));
    }

    #[test]
    fn one_day_is_one_bar_of_limited_width() {
        let chart = chart(1, &[&["10"]]);
        assert_eq!(labels(&chart), ["0", "2", "4", "6", "8", "10"]);
        let bar = &chart.bars[0];
        assert_eq!((bar.width.as_str(), bar.x.as_str(), bar.middle.as_str()), ("36", "374", "392"));
        assert_eq!((bar.segments[0].y.as_str(), bar.segments[0].height.as_str()), ("10", "196"));
    }

    #[test]
    fn a_month_fits_the_plot() {
        let days = vec![["1.5", "2.5"].as_slice(); 31];
        let chart = chart(2, &days);
        assert_eq!(chart.bars.len(), 31);
        assert!(chart.bars.iter().all(|bar| bar.day.is_some() && bar.segments.len() == 2));
        assert_eq!(labels(&chart), ["0", "1", "2", "3", "4"]);
        assert_eq!(chart.bars[30].day.as_deref(), Some("31"));
        let right = hundredths(&chart.bars[30].x) + hundredths(&chart.bars[30].width);
        assert!(right < WIDTH);
    }

    #[test]
    fn segments_have_no_gap() {
        let chart = chart(3, &[&["0.333333333333333333", "0.333333333333333333", "0.333333333333333334"]]);
        let segments = &chart.bars[0].segments;
        let edge = |segment: &Segment| (hundredths(&segment.y), hundredths(&segment.height));
        let (first, second, third) = (edge(&segments[0]), edge(&segments[1]), edge(&segments[2]));
        assert_eq!(first.0 + first.1, 20_600);
        assert_eq!(second.0 + second.1, first.0);
        assert_eq!(third.0 + third.1, second.0);
        assert_eq!(third.0, 1_000);
        assert_eq!(labels(&chart), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
    }

    #[test]
    fn a_very_high_cost_does_not_overflow() {
        let cost = |whole: i128| vec![Some(Cost::from_units(whole * 10i128.pow(18)))];
        let day = |number| jiff::civil::date(2026, 10, number);
        let days = BTreeMap::from([(day(1), cost(1)), (day(2), cost(99_999_999_999_999_999)), (day(3), cost(0))]);
        let chart = Chart::new(&["compute".to_owned()], &days).unwrap();
        assert_eq!(chart.bars[0].segments[0].height, "0");
        assert_eq!(chart.bars[1].segments[0].height, "195.99");
        assert_eq!(labels(&chart).last(), Some(&"100000000000000000"));
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(labels(&chart(1, &[&["0.037"]])), ["0", "0.01", "0.02", "0.03", "0.04"]);
        assert_eq!(labels(&chart(1, &[&["1234.56"]])), ["0", "500", "1000", "1500"]);
        assert_eq!(labels(&chart(1, &[&["7"]])), ["0", "2", "4", "6", "8"]);
        assert_eq!(labels(&chart(1, &[&["0.000000000000000003"]])).len(), 4);
    }

    #[test]
    fn a_cost_too_high_for_an_axis_is_an_error() {
        assert_eq!(axis(i128::MAX), None);
    }
}
