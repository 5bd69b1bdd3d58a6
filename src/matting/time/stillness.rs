// SPDX-License-Identifier: MIT

//! Whether a picture stands still, so that the matte of an earlier frame will do, or moves so little that it can be
//! carried.

use std::ops::Range;
use std::sync::Arc;

use multiversion::multiversion;

use crate::matting::time::guide::Guide;

/// Samples of a guide along the sides of the blocks that are looked at: a hand far from the camera fills one.
const BLOCK: usize = 8;
/// How much luma and each chroma count.
const WEIGHTS: [f32; 3] = [0.5, 0.25, 0.25];
/// A block that stands still differs by so many codes of 8 bits at most, on the average of its samples,
const SEEN: f32 = 1.2;
/// and by so many times more than most blocks do, which is noise:
const ABOVE_NOISE: f32 = 2.5;
/// unless most of them differ by more than this. Then it is the light that changes, or the camera that moves.
const MOST_NOISE: f32 = 2.0;
/// Fewer blocks than this tell nothing of noise.
const FEW: usize = 12;
/// Where no block differs by more than this, somebody speaks or nods, and nobody waves.
const LITTLE: f32 = 9.0;

/// What a frame shows beside an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// The same, but for noise.
    None,
    /// The same, moved a little.
    Little,
    /// Anything.
    Any,
}

/// Compares frames with an earlier one: the one that was inferred last, or searched. What changes slowly adds up, so
/// that it is seen in the end.
#[derive(Default)]
pub struct Stillness {
    earlier: Option<Arc<Guide>>,
    /// How much each block differs.
    blocks: Vec<f32>,
    /// The same, to be put in order.
    sorted: Vec<f32>,
}

impl Stillness {
    /// From now on compares with this frame.
    pub fn begin(&mut self, guide: &Arc<Guide>) {
        self.earlier = Some(guide.clone());
    }

    /// There is no frame to compare with.
    pub fn forget(&mut self) {
        self.earlier = None;
    }

    /// How a frame differs from the earlier one.
    pub fn motion(&mut self, guide: &Guide) -> Motion {
        match self.compare(guide) {
            true => self.judge(),
            false => Motion::Any,
        }
    }

    /// Whether a frame differs from the earlier one anywhere but in a part of it, in samples of the guide along both
    /// axes. Where there is little but that part, it always does.
    pub fn moves_beyond(&mut self, guide: &Guide, [columns, rows]: [Range<usize>; 2]) -> bool {
        if !self.compare(guide) {
            return true;
        }
        let across = guide.size().width.div_ceil(BLOCK);
        let meets = |block: usize, part: &Range<usize>| {
            block * BLOCK < part.end && part.start < (block + 1) * BLOCK
        };
        let mut index = 0;
        self.blocks.retain(|_| {
            let (row, column) = (index / across, index % across);
            index += 1;
            !(meets(column, &columns) && meets(row, &rows))
        });
        self.blocks.len() < FEW || self.judge() != Motion::None
    }

    /// Fills in how much blocks differ; whether there is an earlier frame, of this size.
    fn compare(&mut self, now: &Guide) -> bool {
        let Some(before) = self.earlier.clone() else { return false };
        let size = now.size();
        if before.size() != size {
            return false;
        }
        let (across, down) = (size.width.div_ceil(BLOCK), size.height.div_ceil(BLOCK));
        self.blocks.clear();
        self.blocks.resize(across * down, 0.0);
        let planes = || now.planes().into_iter().zip(before.planes()).zip(WEIGHTS);
        for (row, blocks) in self.blocks.chunks_exact_mut(across).enumerate() {
            let rows = row * BLOCK..((row + 1) * BLOCK).min(size.height);
            for y in rows.clone() {
                for ((now, before), weight) in planes() {
                    add_differences(now.row(y), before.row(y), weight, blocks);
                }
            }
            for (column, block) in blocks.iter_mut().enumerate() {
                let columns = ((column + 1) * BLOCK).min(size.width) - column * BLOCK;
                *block /= (columns * rows.len()) as f32;
            }
        }
        true
    }

    fn judge(&mut self) -> Motion {
        let Self { blocks, sorted, .. } = self;
        sorted.clear();
        sorted.extend_from_slice(blocks);
        let middle = sorted.len() / 2;
        let (_, &mut usual, _) = sorted.select_nth_unstable_by(middle, f32::total_cmp);
        let most = blocks.iter().copied().fold(0.0, f32::max);
        match usual {
            usual if usual > MOST_NOISE => Motion::Any,
            usual if most <= SEEN + ABOVE_NOISE * usual => Motion::None,
            _ if most <= LITTLE => Motion::Little,
            _ => Motion::Any,
        }
    }
}

/// Adds the absolute differences of two rows to the blocks they lie in.
#[multiversion(targets = "simd")]
fn add_differences(now: &[f32], before: &[f32], weight: f32, blocks: &mut [f32]) {
    let rows = now.chunks(BLOCK).zip(before.chunks(BLOCK));
    for (block, (now, before)) in blocks.iter_mut().zip(rows) {
        *block += weight * now.iter().zip(before).map(|(a, b)| (a - b).abs()).sum::<f32>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::frame::pixel_format::PixelFormat;
    use crate::matting::frame::view::{FrameLayout, OwnedFrame};
    use crate::matting::time::guide::Guides;

    const WIDTH: usize = 640;
    const HEIGHT: usize = 360;

    /// A room with detail, sensor noise, and what `shows` puts over it.
    fn frame(seed: u32, noise: f32, shows: impl Fn(usize, usize) -> Option<f32>) -> OwnedFrame {
        let mut frame = OwnedFrame::new(FrameLayout::new(PixelFormat::Gray8, WIDTH, HEIGHT));
        for y in 0..HEIGHT {
            for (x, code) in frame.view_mut().row_mut(0, y).iter_mut().enumerate() {
                let mut random = (seed.wrapping_mul(WIDTH as u32) + x as u32)
                    .wrapping_mul(HEIGHT as u32)
                    .wrapping_add(y as u32);
                for _ in 0..2 {
                    random = (random ^ (random >> 16)).wrapping_mul(0x7feb_352d);
                    random = (random ^ (random >> 15)).wrapping_mul(0x846c_a68b);
                }
                let grain = ((random >> 16) as f32 / 32768.0 - 1.0) * noise;
                let room = 90.0 + 60.0 * ((x as f32 / 23.0).sin() * (y as f32 / 17.0).cos());
                *code = (shows(x, y).unwrap_or(room) + grain).clamp(0.0, 255.0) as u8;
            }
        }
        frame
    }

    /// Whether the second frame is taken for the first.
    fn holds(first: &OwnedFrame, second: &OwnedFrame) -> bool {
        let mut guides = Guides::new(first.view().layout());
        let (first, second) = (guides.look(&first.view()), guides.look(&second.view()));
        let mut stillness = Stillness::default();
        assert_eq!(stillness.motion(&second), Motion::Any, "there is nothing to compare with");
        stillness.begin(&first);
        stillness.motion(&second) == Motion::None
    }

    fn square(left: usize, side: usize, code: f32) -> impl Fn(usize, usize) -> Option<f32> {
        move |x, y| {
            ((left..left + side).contains(&x) && (150..150 + side).contains(&y)).then_some(code)
        }
    }

    #[test]
    fn noise_is_no_motion() {
        for noise in [0.0, 3.0, 6.0] {
            let [first, second] = [1, 2].map(|seed| frame(seed, noise, |_, _| None));
            assert!(holds(&first, &second), "noise of {noise}");
        }
    }

    #[test]
    fn a_hand_that_moves_and_somebody_who_comes_are_seen_in_the_next_frame() {
        for noise in [0.0, 3.0, 6.0] {
            let still = frame(1, noise, square(300, 24, 200.0));
            assert!(!holds(&still, &frame(2, noise, square(306, 24, 200.0))), "a hand, {noise}");
            let empty = frame(1, noise, |_, _| None);
            assert!(!holds(&empty, &frame(2, noise, square(0, 20, 20.0))), "somebody, {noise}");
        }
    }

    #[test]
    fn what_moves_in_a_part_is_no_motion_beyond_it() {
        let part = [150..230, 70..130]; // of 320x180 samples; in pixels 300 to 460, and 140 to 260
        for noise in [0.0, 3.0, 6.0] {
            let moves = |first: &OwnedFrame, second: &OwnedFrame| {
                let mut guides = Guides::new(first.view().layout());
                let (first, second) = (guides.look(&first.view()), guides.look(&second.view()));
                let mut stillness = Stillness::default();
                assert!(stillness.moves_beyond(&second, part.clone()), "nothing to compare with");
                stillness.begin(&first);
                stillness.moves_beyond(&second, part.clone())
            };
            let before = frame(1, noise, square(310, 60, 200.0));
            assert!(!moves(&before, &frame(2, noise, square(380, 60, 200.0))), "{noise}");
            assert!(moves(&before, &frame(2, noise, square(440, 60, 200.0))), "{noise}");
            assert!(moves(&before, &frame(2, noise, square(0, 20, 20.0))), "{noise}");
        }
        // A part that is nearly all of it leaves nothing to tell by.
        let still = frame(1, 0.0, |_, _| None);
        let mut guides = Guides::new(still.view().layout());
        let guide = guides.look(&still.view());
        let mut stillness = Stillness::default();
        stillness.begin(&guide);
        assert!(!stillness.moves_beyond(&guide, [0..320, 8..180]));
        assert!(stillness.moves_beyond(&guide, [0..320, 0..180]));
    }

    #[test]
    fn other_light_and_a_pan_are_seen() {
        let room = frame(1, 2.0, |_, _| None);
        let brighter = frame(2, 2.0, |x, y| {
            Some(96.0 + 60.0 * ((x as f32 / 23.0).sin() * (y as f32 / 17.0).cos()))
        });
        assert!(!holds(&room, &brighter));
        let panned = frame(2, 2.0, |x, y| {
            Some(90.0 + 60.0 * (((x + 3) as f32 / 23.0).sin() * (y as f32 / 17.0).cos()))
        });
        assert!(!holds(&room, &panned));
    }

    #[test]
    fn what_changes_slowly_is_seen_in_the_end() {
        let mut guides = Guides::new(frame(0, 0.0, |_, _| None).view().layout());
        let mut stillness = Stillness::default();
        let mut kept = 0;
        for step in 0..60u32 {
            // A quarter of a pixel a frame.
            let guide =
                guides.look(&frame(step, 1.0, square(300 + step as usize / 4, 60, 190.0)).view());
            if stillness.motion(&guide) == Motion::None {
                kept += 1;
            } else {
                stillness.begin(&guide);
            }
        }
        assert!((30..57).contains(&kept), "{kept} of 60");
    }
}
