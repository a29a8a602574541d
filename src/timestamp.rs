//! Points in time as text, for logs and for people.

/// `2026-11-21T10:00:00.123+0100`
pub fn iso_date(unix_ms: i64) -> String {
    let Some(tm) = local(unix_ms) else {
        return unix_ms.to_string();
    };
    let (clock, ms) = (clock(&tm, 'T'), unix_ms.rem_euclid(1000));
    let offset = tm.tm_gmtoff / 60;
    let sign = if offset < 0 { '-' } else { '+' };
    let (hours, minutes) = (offset.abs() / 60, offset.abs() % 60);
    format!("{clock}.{ms:03}{sign}{hours:02}{minutes:02}")
}

/// Broken down as this machine's clock shows it; `None` in a year that does not fit.
pub fn local(unix_ms: i64) -> Option<libc::tm> {
    let seconds: libc::time_t = unix_ms.div_euclid(1000);
    // SAFETY: all of the structure may be zero, and the C library fills it or says that it cannot.
    unsafe {
        let mut tm: libc::tm = std::mem::zeroed();
        (!libc::localtime_r(&seconds, &mut tm).is_null()).then_some(tm)
    }
}

/// As [`local`], in UTC.
pub fn utc(unix_ms: i64) -> Option<libc::tm> {
    let seconds: libc::time_t = unix_ms.div_euclid(1000);
    // SAFETY: as in `local`.
    unsafe {
        let mut tm: libc::tm = std::mem::zeroed();
        (!libc::gmtime_r(&seconds, &mut tm).is_null()).then_some(tm)
    }
}

/// Date and time to the second.
pub fn clock(tm: &libc::tm, between: char) -> String {
    format!(
        "{:04}-{:02}-{:02}{between}{:02}:{:02}:{:02}",
        i64::from(tm.tm_year) + 1900,
        tm.tm_mon + 1,
        tm.tm_mday,
        tm.tm_hour,
        tm.tm_min,
        tm.tm_sec,
    )
}
