//! The few forms of DER (X.690) that Kerberos' messages are made of.
//!
//! Reading borrows, and every length is checked against what is there. Elements at the end of a sequence that nobody
//! asked for are passed over: later versions of the protocol add some.

use super::Refusal;

pub(super) const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const GENERALIZED_TIME: u8 = 0x18;
const GENERAL_STRING: u8 = 0x1b;

/// `YYYYMMDDHHMMSSZ`, the only form of a time (RFC 4120, 5.2.3).
pub(super) const TIME_BYTES: usize = 15;

pub(super) const fn application(number: u8) -> u8 {
    0x60 | number
}

pub(super) const fn field(number: u8) -> u8 {
    0xa0 | number
}

/// What is left of an element's content. `what` names the message in errors.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], what: &'static str) -> Reader<'a> {
        Reader { rest: bytes, what }
    }

    pub(super) fn malformed(&self) -> Refusal {
        Refusal::Malformed(self.what)
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The content of the next element, which has this tag.
    pub(super) fn enter(&mut self, tag: u8) -> Result<Reader<'a>, Refusal> {
        let (found, content, rest) = split(self.rest).ok_or_else(|| self.malformed())?;
        if found != tag {
            return Err(self.malformed());
        }
        self.rest = rest;
        Ok(Reader::new(content, self.what))
    }

    /// As [`Reader::enter`], if the next element has this tag.
    pub(super) fn enter_if(&mut self, tag: u8) -> Result<Option<Reader<'a>>, Refusal> {
        match self.rest.first() {
            Some(found) if *found == tag => self.enter(tag).map(Some),
            _ => Ok(None),
        }
    }

    pub(super) fn end(&self) -> Result<(), Refusal> {
        match self.rest.is_empty() {
            true => Ok(()),
            false => Err(self.malformed()),
        }
    }

    /// Up to 64 bits with a sign.
    pub(super) fn integer(&mut self) -> Result<i64, Refusal> {
        let bytes = self.enter(INTEGER)?.rest;
        if bytes.is_empty() || bytes.len() > 8 {
            return Err(self.malformed());
        }
        let sign = i64::from(bytes[0] as i8) >> 7;
        Ok(bytes
            .iter()
            .fold(sign, |all, byte| all << 8 | i64::from(*byte)))
    }

    pub(super) fn int32(&mut self) -> Result<i32, Refusal> {
        i32::try_from(self.integer()?).map_err(|_| self.malformed())
    }

    /// Some implementations write the upper half of the numbers with a sign.
    pub(super) fn uint32(&mut self) -> Result<u32, Refusal> {
        let number = self.integer()?;
        let signed = || i32::try_from(number).map(|number| number as u32);
        u32::try_from(number)
            .or_else(|_| signed())
            .map_err(|_| self.malformed())
    }

    /// The first 32 flags, the first one highest (RFC 4120, 5.2.8).
    pub(super) fn flags(&mut self) -> Result<u32, Refusal> {
        let bytes = self.enter(BIT_STRING)?.rest;
        let Some((_unused, bits)) = bytes.split_first() else {
            return Err(self.malformed());
        };
        let mut flags = [0; 4];
        for (flag, byte) in flags.iter_mut().zip(bits) {
            *flag = *byte;
        }
        Ok(u32::from_be_bytes(flags))
    }

    pub(super) fn octets(&mut self) -> Result<&'a [u8], Refusal> {
        Ok(self.enter(OCTET_STRING)?.rest)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Refusal> {
        let bytes = self.enter(GENERAL_STRING)?.rest;
        std::str::from_utf8(bytes).map_err(|_| self.malformed())
    }

    /// As it stands there, and in seconds since 1970.
    pub(super) fn time(&mut self) -> Result<([u8; TIME_BYTES], i64), Refusal> {
        let bytes = self.enter(GENERALIZED_TIME)?.rest;
        let text: [u8; TIME_BYTES] = bytes.try_into().map_err(|_| self.malformed())?;
        let seconds = unix_seconds(&text).ok_or_else(|| self.malformed())?;
        Ok((text, seconds))
    }
}

/// Tag, content, and what follows.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        short @ 0..=0x7f => (usize::from(*short), rest),
        long @ 0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (
                digits
                    .iter()
                    .fold(0, |all, digit| all << 8 | usize::from(*digit)),
                rest,
            )
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

fn unix_seconds(text: &[u8; TIME_BYTES]) -> Option<i64> {
    let number = |from: usize, to: usize| {
        text[from..to].iter().try_fold(0_i64, |all, digit| {
            digit
                .is_ascii_digit()
                .then(|| all * 10 + i64::from(digit - b'0'))
        })
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(8, 10)?, number(10, 12)?, number(12, 14)?);
    let is_time = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60
        && text[14] == b'Z';
    let seconds = (days(year, month, day) * 24 + hour) * 3600 + minute * 60 + second;
    is_time.then_some(seconds)
}

/// Since 1970, in the calendar of today. Years begin in March here, so that the odd day comes last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + day_of_year - 719_468
}

/// An element with this content.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let digits = length.to_be_bytes();
    let digits = &digits[(length.leading_zeros() / 8) as usize..];
    let mut out = Vec::with_capacity(content.len() + 6);
    out.push(tag);
    match length {
        0..=0x7f => out.push(length as u8),
        _ => {
            out.push(0x80 | digits.len() as u8);
            out.extend_from_slice(digits);
        }
    }
    out.extend_from_slice(content);
    out
}

/// The content of a sequence: its fields by number.
pub(super) fn fields<const N: usize>(fields: [(u8, Vec<u8>); N]) -> Vec<u8> {
    let wrapped = fields.map(|(number, content)| element(field(number), &content));
    element(SEQUENCE, &wrapped.concat())
}

pub(super) fn number(number: u32) -> Vec<u8> {
    let bytes = u64::from(number).to_be_bytes();
    // A leading bit that is set would be a sign.
    let zeros = (u64::from(number).leading_zeros() / 8).min(7) as usize;
    let from = if bytes[zeros] & 0x80 == 0 {
        zeros
    } else {
        zeros - 1
    };
    element(INTEGER, &bytes[from..])
}

pub(super) fn octets(bytes: &[u8]) -> Vec<u8> {
    element(OCTET_STRING, bytes)
}

pub(super) fn time(text: &[u8; TIME_BYTES]) -> Vec<u8> {
    element(GENERALIZED_TIME, text)
}

#[cfg(test)]
pub(super) fn text(text: &str) -> Vec<u8> {
    element(GENERAL_STRING, text.as_bytes())
}

#[cfg(test)]
pub(super) fn flags(flags: u32) -> Vec<u8> {
    element(BIT_STRING, &[&[0], &flags.to_be_bytes()[..]].concat())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn reader(bytes: &[u8]) -> Reader<'_> {
        Reader::new(bytes, "it")
    }

    #[test]
    fn numbers() {
        for (bytes, expected) in [
            (&[2, 1, 0][..], 0),
            (&[2, 1, 127], 127),
            (&[2, 1, 0x80], -128),
            (&[2, 2, 0, 0x80], 128),
            (&[2, 4, 0x80, 0, 0, 0], i64::from(i32::MIN)),
            (&[2, 5, 0, 0xff, 0xff, 0xff, 0xff], 0xffff_ffff),
            (&[2, 0x81, 1, 5], 5),
        ] {
            assert_eq!(reader(bytes).integer(), Ok(expected), "{bytes:?}");
        }
        assert_eq!(
            reader(&[2, 4, 0xff, 0xff, 0xff, 0xfe]).uint32(),
            Ok(0xffff_fffe)
        );
        for bytes in [
            &[][..],
            &[2],
            &[2, 0],
            &[2, 2, 1],
            &[2, 0x80, 1, 0],
            &[2, 0x85, 0, 0, 0, 0, 1, 1],
            &[2, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[2, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[4, 1, 1],
        ] {
            assert_eq!(
                reader(bytes).integer(),
                Err(Refusal::Malformed("it")),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn times() {
        let seconds = |text: &str| {
            reader(&element(0x18, text.as_bytes()))
                .time()
                .map(|(_, s)| s)
        };
        assert_eq!(seconds("19700101000000Z"), Ok(0));
        assert_eq!(seconds("20000301000000Z"), Ok(951_868_800));
        assert_eq!(seconds("20240229235959Z"), Ok(1_709_251_199));
        assert_eq!(seconds("20380119031408Z"), Ok(2_147_483_648));
        assert_eq!(seconds("20991231235959Z"), Ok(4_102_444_799));
        for text in [
            "2024022923595Z",
            "20240229235959",
            "20241329235959Z",
            "2024-2-2923595Z",
            "20240229235959+",
        ] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn flags_may_be_short() {
        assert_eq!(reader(&[3, 5, 0, 0x20, 0, 0, 1]).flags(), Ok(0x2000_0001));
        assert_eq!(reader(&[3, 2, 0, 0x20]).flags(), Ok(0x2000_0000));
        assert_eq!(reader(&[3, 1, 0]).flags(), Ok(0));
        assert!(reader(&[3, 0]).flags().is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(n: u32, bytes in proptest::collection::vec(any::<u8>(), 0..70_000)) {
            let written = fields([(0, number(n)), (3, octets(&bytes))]);
            let mut read = reader(&written);
            let mut sequence = read.enter(SEQUENCE).unwrap();
            read.end().unwrap();
            prop_assert_eq!(sequence.enter(field(0)).unwrap().uint32(), Ok(n));
            prop_assert!(sequence.enter_if(field(1)).unwrap().is_none());
            prop_assert_eq!(sequence.enter(field(3)).unwrap().octets(), Ok(&bytes[..]));
        }
    }
}
