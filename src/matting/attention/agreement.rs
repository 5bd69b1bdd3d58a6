// SPDX-License-Identifier: MIT

//! Whether the mask of a region says what the mask of the whole frame was sure of.
//!
//! What a network says of a region is finer, but it knows less of what lies around, and may take the
//! region for something else.

use super::track::{Placement, placements};
use crate::matting::frame::region::Region;
use crate::matting::frame::size::Size;
use crate::matting::input::layouts::MaskLayouts;

/// The share that a mask of a region has to confirm to be taken, of the person and of the
/// background, as for closer looks ([`refine`](super::refine)).
pub const CONFIRMED: f32 = 0.85;
/// A sample nearer than this to 0 or 1 is sure.
const SURE: f32 = 0.05;

/// The share of the person or of the background, whichever is less, that `closer`, the mask of
/// `region`, confirms of what `whole`, the mask of the whole frame, is sure of there. 1 where that is
/// sure of nothing.
pub fn agreement(
    whole: &[f32],
    closer: &[f32],
    region: Region,
    frame: Size,
    masks: impl Into<MaskLayouts>,
) -> f32 {
    let masks = masks.into();
    let (whole_masks, closer_masks) = (masks.of(frame), masks.of(region.size));
    let [x, y] = placements(Region::whole(frame), whole_masks);
    let [closer_x, closer_y] = placements(region, closer_masks);
    let Size { width, height } = closer_masks.mask;
    let column = |i| sample_at(&closer_x, x.pixel(i as f32 + 0.5), region.size.width, width);
    let row = |i| sample_at(&closer_y, y.pixel(i as f32 + 0.5), region.size.height, height);
    let mut found = [0.0f64; 2];
    let mut of = [0u32; 2];
    for (i, values) in whole.chunks_exact(whole_masks.mask.width).enumerate() {
        let Some(at_row) = row(i) else { continue };
        let closer = &closer[at_row * width..][..width];
        for (i, &value) in values.iter().enumerate() {
            let person = value >= 0.5;
            if value.min(1.0 - value) > SURE {
                continue;
            }
            let Some(at) = column(i) else { continue };
            let closer = closer[at].clamp(0.0, 1.0);
            found[usize::from(person)] += f64::from(if person { closer } else { 1.0 - closer });
            of[usize::from(person)] += 1;
        }
    }
    let share = |i: usize| if of[i] > 0 { (found[i] / f64::from(of[i])) as f32 } else { 1.0 };
    share(0).min(share(1))
}

/// The sample of a mask of a region that shows the frame at `pixel`, if the region, which is `side`
/// pixels long, does.
fn sample_at(axis: &Placement, pixel: f32, side: usize, samples: usize) -> Option<usize> {
    let inside = pixel - axis.start;
    if inside < 0.0 || inside >= side as f32 {
        return None;
    }
    let sample = (axis.edge + inside * axis.per_pixel) as usize;
    Some(sample.min(samples - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::frame::aspect::PixelAspect;
    use crate::matting::input::geometry::MaskLayout;
    use crate::matting::model::description::Fit;

    const FRAME: Size = Size { width: 400, height: 300 };
    const MASK: Size = Size { width: 40, height: 40 };
    const MASKS: MaskLayout =
        MaskLayout { input: MASK, mask: MASK, fit: Fit::Pad, aspect: PixelAspect::SQUARE };
    const REGION: Region = Region { x: 100, y: 60, size: Size { width: 160, height: 200 } };

    /// What a perfect network says of `region`, of a person in the pixels of `inside`.
    fn mask(region: Region, inside: impl Fn(f32, f32) -> bool) -> Vec<f32> {
        let [x, y] = placements(region, MASKS);
        let at = |axis: &Placement, i: usize| axis.pixel(i as f32 + 0.5);
        (0..MASK.area())
            .map(|i| f32::from(inside(at(&x, i % MASK.width), at(&y, i / MASK.width))))
            .collect()
    }

    fn person(x: f32, y: f32) -> bool {
        (130.0..230.0).contains(&x) && (90.0..240.0).contains(&y)
    }

    fn agreement_with(closer: impl Fn(f32, f32) -> bool) -> f32 {
        let whole = mask(Region::whole(FRAME), person);
        agreement(&whole, &mask(REGION, closer), REGION, FRAME, MASKS)
    }

    #[test]
    fn the_same_person_is_confirmed() {
        assert!(agreement_with(person) > 0.93);
    }

    #[test]
    fn half_a_person_or_a_wall_taken_for_one_is_not() {
        assert!(agreement_with(|x, y| person(x, y) && x < 180.0) < 0.7);
        assert!(agreement_with(|x, y| person(x, y) || y < 120.0) < CONFIRMED);
        assert!(agreement_with(|_, _| false) < 0.1);
    }

    #[test]
    fn what_is_sure_of_nothing_confirms_all() {
        let unsure = vec![0.5; MASK.area()];
        assert_eq!(agreement(&unsure, &mask(REGION, person), REGION, FRAME, MASKS), 1.0);
    }
}
