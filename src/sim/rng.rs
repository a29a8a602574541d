//! The only source of chance in a simulated world: splitmix64. The same seed gives the same run, on every machine
//! and with every release of the compiler; nothing here depends on a hash's order.

#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        // Neighbouring seeds must not begin alike.
        let mut rng = Rng(seed ^ 0x5851_f42d_4c95_7f2d);
        rng.next();
        rng
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In `0..n`; 0 for an empty range.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// Both ends included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// A stream of its own, so that one part of the world does not disturb another.
    pub fn fork(&mut self) -> Rng {
        Rng::new(self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let (mut a, mut b, mut c) = (Rng::new(7), Rng::new(7), Rng::new(8));
        let first: Vec<u64> = (0..50).map(|_| a.next()).collect();
        assert_eq!(first, (0..50).map(|_| b.next()).collect::<Vec<_>>());
        assert_ne!(first, (0..50).map(|_| c.next()).collect::<Vec<_>>());
    }

    #[test]
    fn numbers_stay_in_their_range_and_reach_both_ends() {
        let mut rng = Rng::new(1);
        let mut seen = [false; 3];
        for _ in 0..200 {
            seen[(rng.between(5, 7) - 5) as usize] = true;
            assert!(rng.below(10) < 10);
        }
        assert_eq!(seen, [true; 3]);
        assert!(!rng.chance(0));
        assert!(rng.chance(1000));
        assert_eq!(rng.below(0), 0);
    }
}
