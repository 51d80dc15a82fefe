//! Figures as the screens have them.

use crate::run::figures::rate;

/// Bits a second, from bytes.
pub(super) fn bits(bytes_per_s: f64) -> String {
    rate(bytes_per_s * 8.0, "b/s")
}

/// `1.23 µs`: nanoseconds in the unit that fits.
pub(super) fn time(ns: Option<u64>) -> String {
    let Some(ns) = ns else { return "–".to_owned() };
    let (value, unit) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (ns as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => (ns as f64 / 1e6, "ms"),
        _ => (ns as f64 / 1e9, "s"),
    };
    let decimals = usize::from(value < 99.95);
    format!("{value:.decimals$} {unit}")
}

/// One decimal; a dash for what is absent.
pub(super) fn decimal(value: Option<f64>) -> String {
    match value {
        Some(value) if value >= 9999.5 => rate(value, "").trim_end().to_owned(),
        Some(value) => format!("{value:.1}"),
        None => "–".to_owned(),
    }
}

/// Two decimals, likewise.
pub(super) fn hundredths(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"))
}

/// `12 %`.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.0} %", share * 100.0))
}

/// `▕███░░░▏ 12 %`, `cells` wide inside.
pub(super) fn meter(part: u64, whole: u64, cells: usize) -> String {
    let share = (part as f64 / whole.max(1) as f64).min(1.0);
    // Something is never drawn as nothing.
    let filled = ((share * cells as f64).round() as usize).max(usize::from(part > 0)).min(cells);
    format!("{}{} {:>4}", "█".repeat(filled), "░".repeat(cells - filled), percent(Some(share)))
}

/// `1:02:03`.
pub(super) fn clock(seconds: f64) -> String {
    let whole = seconds as u64;
    format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!([time(None), time(Some(0)), time(Some(999))], ["–", "0 ns", "999 ns"]);
        assert_eq!([time(Some(1_234)), time(Some(123_456))], ["1.2 µs", "123 µs"]);
        assert_eq!([time(Some(12_345_678)), time(Some(4_000_000_000))], ["12.3 ms", "4.0 s"]);
        assert_eq!(decimal(Some(54.04)), "54.0");
        assert_eq!(decimal(Some(123_456.0)), "123 k");
        assert_eq!(meter(0, 100, 4), "░░░░  0 %");
        assert_eq!(meter(1, 1000, 4), "█░░░  0 %");
        assert_eq!(meter(100, 100, 4), "████ 100 %");
        assert_eq!(meter(7, 0, 4), "████ 100 %");
        assert_eq!(clock(3723.9), "1:02:03");
    }
}
