//! Numbers as people read them.

/// `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1.23 Mpps`: three significant digits and a decimal prefix.
pub(crate) fn rate(per_second: f64, unit: &str) -> String {
    let (scaled, prefix) = match per_second {
        big if big >= 1e9 => (big / 1e9, "G"),
        big if big >= 1e6 => (big / 1e6, "M"),
        big if big >= 1e3 => (big / 1e3, "k"),
        small => (small, ""),
    };
    let decimals = if scaled >= 100.0 || prefix.is_empty() {
        0
    } else if scaled >= 10.0 {
        1
    } else {
        2
    };
    format!("{scaled:.decimals$} {prefix}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(12_345_678), "12,345,678");
        assert_eq!(rate(0.0, "pps"), "0 pps");
        assert_eq!(rate(1_234.0, "pps"), "1.23 kpps");
        assert_eq!(rate(45_600_000.0, "pps"), "45.6 Mpps");
        assert_eq!(rate(123.4e9, "B/s"), "123 GB/s");
    }
}
