//! Keeps an idle server small.

/// Opening the store runs through megabytes of code that nothing needs afterwards. Code pages are copies of the
/// file: those that are dropped here come back, one by one, when they are used again.
pub(super) fn drop_start_code() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else {
        return;
    };
    for (start, end) in maps.lines().filter_map(code_of_a_file) {
        // SAFETY: the range is a read-only, executable mapping of a file, as the kernel lists it: without pages of
        // its own it reads the same bytes from the file.
        unsafe {
            libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED);
        }
    }
}

/// `start-end r-xp offset device inode path`
fn code_of_a_file(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let is_code = fields.next()? == "r-xp";
    let is_file = fields.nth(3).is_some_and(|path| path.starts_with('/'));
    let address = |text| usize::from_str_radix(text, 16).ok();
    (is_code && is_file).then_some((address(start)?, address(end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files_is_dropped() {
        let code = "55d0c0200000-55d0c0a00000 r-xp 00200000 fe:00 1234 /usr/bin/ferrokeeper";
        assert_eq!(
            code_of_a_file(code),
            Some((0x55d0_c020_0000, 0x55d0_c0a0_0000))
        );
        for other in [
            "55d0c0a00000-55d0c0a10000 r--p 00a00000 fe:00 1234 /usr/bin/ferrokeeper",
            "55d0c0a10000-55d0c0a20000 rw-p 00a10000 fe:00 1234 /usr/bin/ferrokeeper",
            "7ffc0a5f2000-7ffc0a5f4000 r-xp 00000000 00:00 0 [vdso]",
            "7f0000000000-7f0000001000 r-xp 00000000 00:00 0",
            "",
        ] {
            assert_eq!(code_of_a_file(other), None, "{other}");
        }
    }

    #[test]
    fn the_process_lives_on() {
        drop_start_code();
        assert_eq!(code_of_a_file("x"), None);
    }
}
