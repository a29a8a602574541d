//! Numbers and dates as Java prints them, which is what parsers of its output were made for.

use std::fmt;
use std::net::SocketAddr;

use crate::auth::ip;

/// A double as `Double.toString` prints it: `0.0`, `0.4545`, `1.0E7`, `NaN`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Double(pub f64);

impl fmt::Display for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        if value.is_nan() {
            return f.write_str("NaN");
        }
        if value.is_infinite() {
            return f.write_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
        }
        // Debug keeps one digit after the point; Java uses an exponent outside this range.
        if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
            return write!(f, "{value:?}");
        }
        let scientific = format!("{value:e}");
        let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let fraction = if digits.contains('.') { "" } else { ".0" };
        write!(f, "{digits}{fraction}E{exponent}")
    }
}

/// `sum / count` with at most four decimals, halves rounded away from zero; 0 for nothing.
pub fn average(sum: i64, count: u64) -> f64 {
    if count == 0 {
        return 0.0;
    }
    let average = sum as f64 / count as f64;
    // A double lies exactly in the middle of two four-decimal numbers only if it is a multiple of
    // 1/32; there Rust would round to even.
    let thirty_seconds = average * 32.0;
    if thirty_seconds.fract() == 0.0 && thirty_seconds.abs() < 1e15 {
        let hundred_thousandths = thirty_seconds.abs() as i128 * 3125;
        let rounded = (hundred_thousandths + 5) / 10;
        return (rounded as f64 / 1e4).copysign(average);
    }
    format!("{average:.4}").parse().unwrap_or(average)
}

/// A point in time as `Date.toString` prints it in UTC: `Sat Nov 21 04:30:26 UTC 2026`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    pub unix_ms: i64,
}

const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.unix_ms.div_euclid(1000);
        let days = seconds.div_euclid(86_400);
        let of_day = seconds.rem_euclid(86_400);
        let (year, month, day) = civil(days);
        let weekday = WEEKDAYS[days.rem_euclid(7) as usize];
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        let month = MONTHS[month];
        write!(
            f,
            "{weekday} {month} {day:02} {hour:02}:{minute:02}:{second:02} UTC {year}"
        )
    }
}

/// Year, month from 0 and day from 1 of a day counted from 1970-01-01.
fn civil(days: i64) -> (i64, usize, i64) {
    // Years are counted from March, so that the leap day comes last; 400 years are 146,097 days.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = era * 400 + year_of_era + i64::from(month < 2);
    (year, month as usize, day)
}

/// A socket's address as Java prints one without a name: `/10.0.0.7:51234`, IPv6 in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Java 14 and later put IPv6 in brackets; the parsers know the form without.
        write!(f, "/{}:{}", ip::java_text(self.0.ip()), self.0.port())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn doubles() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.4545, "0.4545"),
            (3.25, "3.25"),
            (0.001, "0.001"),
            (0.00099, "9.9E-4"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (12_345_678.5, "1.23456785E7"),
            (-2e10, "-2.0E10"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(Double(value).to_string(), text);
        }
    }

    #[test]
    fn averages() {
        for (sum, count, expected) in [
            (0, 0, 0.0),
            (5, 11, 0.4545),
            (33, 8, 4.125),
            (1, 32, 0.0313),
            (3, 32, 0.0938),
            (-1, 32, -0.0313),
            (2, 3, 0.6667),
            (i64::MAX, 1, i64::MAX as f64),
        ] {
            assert_eq!(average(sum, count), expected, "{sum}/{count}");
        }
    }

    #[test]
    fn dates() {
        for (unix_ms, text) in [
            (0, "Thu Jan 01 00:00:00 UTC 1970"),
            (1_795_235_426_000, "Sat Nov 21 04:30:26 UTC 2026"),
            (951_782_400_999, "Tue Feb 29 00:00:00 UTC 2000"),
            (4_107_542_399_000, "Sun Feb 28 23:59:59 UTC 2100"),
            (4_107_542_400_000, "Mon Mar 01 00:00:00 UTC 2100"),
            (-1, "Wed Dec 31 23:59:59 UTC 1969"),
        ] {
            assert_eq!(Date { unix_ms }.to_string(), text);
        }
        // Far-away times of a broken clock are printed somehow.
        let _ = Date { unix_ms: i64::MAX }.to_string();
        let _ = Date { unix_ms: i64::MIN }.to_string();
    }

    #[test]
    fn addresses() {
        for (address, text) in [
            ("10.0.0.7:51234", "/10.0.0.7:51234"),
            ("[::1]:2181", "/0:0:0:0:0:0:0:1:2181"),
            ("[::ffff:10.0.0.7]:1", "/10.0.0.7:1"),
        ] {
            assert_eq!(Address(address.parse().unwrap()).to_string(), text);
        }
    }
}
