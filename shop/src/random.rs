//! Numbers that look random and are a pure function of where they are asked for.

/// A stream of numbers that depends on its seed only (`SplitMix64`).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Begins the stream of item `n` for one `purpose`, so that no two purposes share numbers.
    pub(crate) fn new(purpose: u64, n: u32) -> Self {
        let mut random = Self(purpose ^ (u64::from(n) << 20));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is over 0.
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        // The upper half of a product of a 32-bit fraction and `end`.
        (((self.next() >> 32) * u64::from(end)) >> 32) as u32
    }

    /// One of some items, of which there is at least one.
    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u32) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_and_repeat_with_the_seed() {
        let draw = |n| Random::new(7, n).below(1000);
        let low = (0..10_000).filter(|n| draw(*n) < 100).count();
        assert!((900..1100).contains(&low), "{low} of 10,000 in the lowest tenth");
        assert!((0..100).all(|n| draw(n) == draw(n)));
        let other = |n| Random::new(8, n).below(1000);
        assert!((0..100).filter(|n| draw(*n) == other(*n)).count() < 10);
    }
}
