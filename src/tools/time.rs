//! Points in time as a user writes them.

use std::time::{SystemTime, UNIX_EPOCH};

const FORMS: &str = "write 2026-11-21T15:04:05 (with Z or +01:00 if not in local time), 15m, 2h or 3d ago, or \
                     milliseconds since 1970";

/// Milliseconds since 1970.
pub fn parse(text: &str) -> Result<i64, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_millis() as i64);
    parse_at(text, now).ok_or_else(|| FORMS.to_owned())
}

fn parse_at(text: &str, now_ms: i64) -> Option<i64> {
    let text = text.trim().trim_end_matches(" ago");
    if let Ok(ms) = text.parse::<i64>() {
        return (ms > 9999).then_some(ms);
    }
    let unit = match text.chars().last()? {
        's' => 1000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return date(text),
    };
    let count: i64 = text[..text.len() - 1].parse().ok().filter(|n| *n >= 0)?;
    now_ms.checked_sub(count.checked_mul(unit)?)
}

fn date(text: &str) -> Option<i64> {
    let (day, rest) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00"));
    let (clock, offset) = match rest.strip_suffix('Z') {
        Some(clock) => (clock, Some(0)),
        None => match rest.rfind(['+', '-']) {
            Some(at) => (&rest[..at], Some(offset_minutes(&rest[at..])?)),
            None => (rest, None),
        },
    };
    let mut day = day.split('-');
    let mut next = |range: std::ops::RangeInclusive<i32>| {
        let number: i32 = day.next()?.parse().ok()?;
        range.contains(&number).then_some(number)
    };
    let (year, month, mday) = (next(1970..=9999)?, next(1..=12)?, next(1..=31)?);
    let (clock, fraction) = clock.split_once(['.', ',']).unwrap_or((clock, ""));
    let mut clock = clock.split(':');
    let mut next = |max: i32| {
        let number: i32 = clock.next().unwrap_or("0").parse().ok()?;
        (0..=max).contains(&number).then_some(number)
    };
    let (hour, minute, second) = (next(23)?, next(59)?, next(60)?);
    let ms: i64 = match fraction.get(..fraction.len().min(3)).unwrap_or("") {
        "" => 0,
        digits => format!("{digits:0<3}").parse().ok()?,
    };
    // SAFETY: all of the structure may be zero.
    let mut tm: libc::tm = unsafe { std::mem::zeroed() };
    (tm.tm_year, tm.tm_mon, tm.tm_mday) = (year - 1900, month - 1, mday);
    (tm.tm_hour, tm.tm_min, tm.tm_sec) = (hour, minute, second);
    tm.tm_isdst = -1;
    // SAFETY: the structure is ours and filled.
    let seconds = unsafe {
        match offset {
            Some(_) => libc::timegm(&mut tm),
            None => libc::mktime(&mut tm),
        }
    };
    Some((seconds - offset.unwrap_or(0) * 60) * 1000 + ms)
}

/// `+01:00`, `+0100` or `+01`.
fn offset_minutes(text: &str) -> Option<i64> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits: String = text[1..].chars().filter(|c| *c != ':').collect();
    let number: i64 = digits.parse().ok()?;
    match digits.len() {
        2 => Some(sign * number * 60),
        4 => Some(sign * (number / 100 * 60 + number % 100)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, ms) in [
            ("1970-01-02T00:00:00Z", Some(86_400_000)),
            ("2026-11-21 04:30:26.5Z", Some(1_795_235_426_500)),
            ("2026-11-21T05:30:26+01:00", Some(1_795_235_426_000)),
            ("2026-11-21T05:30:26+0100", Some(1_795_235_426_000)),
            ("2026-11-21T04:30Z", Some(1_795_235_400_000)),
            ("1795235426000", Some(1_795_235_426_000)),
            ("90s", Some(10_000)),
            ("1m ago", Some(40_000)),
            ("-1h", None),
            ("yesterday", None),
            ("2026-13-01", None),
            ("2026-11-21T25:00:00Z", None),
            ("2026", None),
            ("", None),
        ] {
            assert_eq!(parse_at(text, 100_000), ms, "{text}");
        }
    }
}
