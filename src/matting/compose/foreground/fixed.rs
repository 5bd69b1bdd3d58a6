// SPDX-License-Identifier: MIT

//! The numbers that samples are taken apart with: 16-bit fixed point for bytes, of which a vector holds the
//! most, and floats for deeper codes.

use std::ops::{Add, Sub};

use super::cells::{BLOCK, Cells};
use crate::matting::frame::pixel_format::Depth;
use crate::matting::frame::sample::{Sample, nearest};

/// Codes in units of an 8-bit one, and factors up to 1.
pub trait Fixed:
    Copy + Default + PartialEq + Send + Sync + Add<Output = Self> + Sub<Output = Self>
{
    /// The whole, as a factor.
    const ALL: Self;

    /// A code.
    fn of_code(code: f32) -> Self;

    /// A factor.
    fn of_factor(factor: f32) -> Self;

    /// self · factor.
    fn times(self, factor: Self) -> Self;

    /// 2 · factor − 1.
    fn centred(self) -> Self;
}

/// Samples that are taken apart.
pub trait Unmixed: Sample {
    /// What they are meanwhile.
    type Fixed: Fixed;

    /// A code of all the sample's bits.
    const FULL: Depth = Depth { bits: Self::BITS, shift: 0 };

    /// The code of a sample.
    fn to_fixed(self, depth: Depth) -> Self::Fixed;

    /// The nearest sample.
    fn of_fixed(code: Self::Fixed, depth: Depth) -> Self;

    /// A weight as a factor.
    fn to_factor(self) -> Self::Fixed;

    /// A sample of these bits.
    fn of_bits(bits: u32) -> Self;

    /// The sum of a few.
    fn sum<const N: usize>(samples: &[Self; N]) -> u32;

    /// Whether a weight is neither nothing nor the whole.
    fn is_soft(self) -> bool;

    /// The sum of the weights of each cell and its neighbours.
    fn sum_around(rows: [&[Self]; 3], at: usize) -> Cells;
}

/// Codes have so many fractional bits.
const FRACTION: u32 = 6;

impl Fixed for i16 {
    const ALL: Self = i16::MAX;

    #[inline(always)]
    fn of_code(code: f32) -> Self {
        nearest(code * (1 << FRACTION) as f32) as i16
    }

    #[inline(always)]
    fn of_factor(factor: f32) -> Self {
        (factor * 32768.0) as i16
    }

    /// Of the product only the upper half is looked at, for which there is a vector instruction.
    #[inline(always)]
    fn times(self, factor: Self) -> Self {
        let half = ((i32::from(self) * i32::from(factor)) >> 16) as i16;
        // Never saturates. A shift would be joined to the one above, and the instruction lost.
        half.saturating_add(half)
    }

    #[inline(always)]
    fn centred(self) -> Self {
        self.wrapping_mul(2).wrapping_add(i16::MIN)
    }
}

impl Fixed for f32 {
    const ALL: Self = 1.0;

    #[inline(always)]
    fn of_code(code: f32) -> Self {
        code
    }

    #[inline(always)]
    fn of_factor(factor: f32) -> Self {
        factor
    }

    #[inline(always)]
    fn times(self, factor: Self) -> Self {
        self * factor
    }

    #[inline(always)]
    fn centred(self) -> Self {
        2.0 * self - 1.0
    }
}

/// What both widths have in common.
macro_rules! in_wider {
    ($wide:ty) => {
        #[inline(always)]
        fn of_bits(bits: u32) -> Self {
            bits as Self
        }

        #[inline(always)]
        fn is_soft(self) -> bool {
            self.wrapping_add(1) > 1
        }

        #[inline(always)]
        fn sum_around(rows: [&[Self]; 3], at: usize) -> Cells {
            let mut sums = [0; BLOCK];
            for row in rows {
                let window = &row[at - 1..][..BLOCK + 2];
                for i in 0..BLOCK {
                    let sides = <$wide>::from(window[i]) + <$wide>::from(window[i + 2]);
                    sums[i] += sides + <$wide>::from(window[i + 1]);
                }
            }
            sums.map(|sum| sum as f32)
        }
    };
}

impl Unmixed for u8 {
    type Fixed = i16;

    in_wider!(u16);

    #[inline(always)]
    fn to_fixed(self, _: Depth) -> i16 {
        i16::from(self) << FRACTION
    }

    #[inline(always)]
    fn of_fixed(code: i16, _: Depth) -> u8 {
        ((code + (1 << (FRACTION - 1))) >> FRACTION).clamp(0, 255) as u8
    }

    #[inline(always)]
    fn to_factor(self) -> i16 {
        let weight = i16::from(self);
        weight << 7 | weight >> 1
    }

    /// Of up to 16 bytes.
    #[inline(always)]
    fn sum<const N: usize>(bytes: &[u8; N]) -> u32 {
        let (words, rest) = bytes.as_chunks::<4>();
        // Every second byte of a word, and the others, then both halves: there are no lanes to cross.
        let mut pairs = 0;
        for bytes in words {
            let word = u32::from_le_bytes(*bytes);
            pairs += (word & 0x00ff_00ff) + (word >> 8 & 0x00ff_00ff);
        }
        let mut sum = (pairs & 0xffff) + (pairs >> 16);
        for byte in rest {
            sum += u32::from(*byte);
        }
        sum
    }
}

impl Unmixed for u16 {
    type Fixed = f32;

    in_wider!(u32);

    #[inline(always)]
    fn to_fixed(self, depth: Depth) -> f32 {
        self.decode(depth)
    }

    #[inline(always)]
    fn of_fixed(code: f32, depth: Depth) -> u16 {
        u16::encode(code, depth)
    }

    #[inline(always)]
    fn to_factor(self) -> f32 {
        f32::from(self) * (1.0 / 65535.0)
    }

    #[inline(always)]
    fn sum<const N: usize>(words: &[u16; N]) -> u32 {
        words.iter().map(|word| u32::from(*word)).sum()
    }
}
