//! The checksum of Java's files. Answers to `java.util.zip.Adler32`.

const MODULUS: u32 = 65_521;
/// Bytes after which the sums may not fit into 32 bits any more.
const BLOCK: usize = 5552;

#[derive(Clone, Debug)]
pub struct Adler32 {
    a: u32,
    b: u32,
}

impl Default for Adler32 {
    fn default() -> Self {
        Adler32 { a: 1, b: 0 }
    }
}

impl Adler32 {
    pub fn of(bytes: &[u8]) -> u32 {
        let mut sum = Adler32::default();
        sum.update(bytes);
        sum.value()
    }

    pub fn update(&mut self, bytes: &[u8]) {
        for block in bytes.chunks(BLOCK) {
            // Sixteen bytes at a time: the compiler makes vector instructions of it.
            let (whole, rest) = block.as_chunks::<16>();
            for chunk in whole {
                self.b += 16 * self.a;
                let (mut sum, mut weighted) = (0, 0);
                for (at, &byte) in chunk.iter().enumerate() {
                    sum += u32::from(byte);
                    weighted += (16 - at as u32) * u32::from(byte);
                }
                self.a += sum;
                self.b += weighted;
            }
            for &byte in rest {
                self.a += u32::from(byte);
                self.b += self.a;
            }
            self.a %= MODULUS;
            self.b %= MODULUS;
        }
    }

    pub fn value(&self) -> u32 {
        self.b << 16 | self.a
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sums() {
        assert_eq!(Adler32::of(b""), 1);
        assert_eq!(Adler32::of(b"Wikipedia"), 0x11e6_0398);
        let long = vec![0xff; 1 << 20];
        let (mut a, mut b) = (1u64, 0u64);
        for &byte in &long {
            a = (a + u64::from(byte)) % u64::from(MODULUS);
            b = (b + a) % u64::from(MODULUS);
        }
        assert_eq!(u64::from(Adler32::of(&long)), b << 16 | a);
        let mut pieces = Adler32::default();
        for piece in long.chunks(4099) {
            pieces.update(piece);
        }
        assert_eq!(pieces.value(), Adler32::of(&long));
    }
}
