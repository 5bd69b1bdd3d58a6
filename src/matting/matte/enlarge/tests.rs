// SPDX-License-Identifier: MIT

use super::*;
use crate::matting::frame::size::Size;
use crate::matting::input::geometry::MaskLayout;
use crate::matting::matte::shape::{Finisher, MatteSettings};
use proptest::prelude::*;

proptest! {
    /// What is told of covers holds for the values, and nobody sees that they were not enlarged.
    #[test]
    fn a_mask_that_is_flat_in_parts_is_enlarged_as_any_other(
        width in 1usize..700, height in 1usize..60, mask_w in 1usize..90, mask_h in 1usize..40,
        [left, right] in [0usize..90, 0usize..90], [top, bottom] in [0usize..40, 0usize..40],
        inside in prop::sample::select(vec![0.3f32, 0.9993, 1.0]),
        outside in prop::sample::select(vec![0f32, 0.0007]),
        invert: bool, threshold in prop::sample::select(vec![0f32, 0.0005, 0.5, 1.0]),
    ) {
        let (frame, mask) = (Size { width, height }, Size { width: mask_w, height: mask_h });
        let is_inside = |i: usize| (left..right).contains(&(i % mask_w)) && (top..bottom).contains(&(i / mask_w));
        let values: Vec<f32> =
            (0..mask.area()).map(|i| if is_inside(i) { inside } else { outside }).collect();
        let settings = MatteSettings { invert, threshold, ..Default::default() };
        let mut finisher = Finisher::new(frame, MaskLayout::covering(mask));
        let mut reader: MatteReader = finisher.reader();
        let Matte::Mask(matte) = finisher.matte(&values, &settings) else { unreachable!() };
        let mut rows = Matte::Mask(matte).rows(&mut reader);
        let operators = (matte.columns, matte.rows);
        for y in 0..height {
            let row = rows.row(y);
            let (first, down) = operators.1.row(y);
            for x in 0..width {
                let (left, across) = operators.0.row(x);
                let taps = |weights: &[f32], first: usize| {
                    let taps = weights.iter().enumerate().filter(|(_, weight)| **weight != 0.0);
                    taps.map(|(k, weight)| (first + k, f64::from(*weight))).collect::<Vec<_>>()
                };
                let across = taps(across, left);
                let sum: f64 = taps(down, first).iter().flat_map(|(r, down)| {
                    let row = &values[r * mask_w..];
                    across.iter().map(move |(c, weight)| weight * down * f64::from(row[*c]))
                }).sum();
                let mut want = sum.clamp(0.0, 1.0);
                if threshold > 0.0 {
                    if (want - f64::from(threshold)).abs() < 1e-5 {
                        continue;
                    }
                    want = f64::from(want >= f64::from(threshold));
                }
                let want = 255.0 * if invert { 1.0 - want } else { want };
                // Half a code, and what single precision may add.
                prop_assert!((f64::from(row.codes[x]) - want).abs() < 0.501, "{} {want}", row.codes[x]);
                let snapped = if row.covers[x / SPAN] == Cover::Soft { 1e-3 } else { 0.5 };
                prop_assert!((255.0 * f64::from(row.values[x]) - want).abs() < snapped);
                match row.covers[x / SPAN] {
                    Cover::Clear => prop_assert_eq!((row.values[x], row.codes[x]), (0.0, 0)),
                    Cover::Opaque => prop_assert_eq!((row.values[x], row.codes[x]), (1.0, 255)),
                    Cover::Soft => {}
                }
            }
        }
    }
}

proptest! {
    /// Where there is a tile, the matte is that, and elsewhere as if there were none, in whatever order
    /// rows are read.
    #[test]
    fn tiles_take_the_place_of_what_is_enlarged(
        width in 1usize..300, height in 1usize..200, mask_w in 1usize..60, mask_h in 1usize..60,
        seed in any::<u64>(), places in prop::collection::vec(0usize..20, 0..6),
        order in prop::collection::vec(0usize..200, 1..80),
        invert: bool, threshold in prop::sample::select(vec![0f32, 0.4]),
    ) {
        let (frame, mask) = (Size { width, height }, Size { width: mask_w, height: mask_h });
        let chance = |i: usize| seed.wrapping_mul(2 * i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        // Much of it is flat.
        let value = |i: usize| [0.0, 0.0, 0.0, 1.0, 1.0, 0.5, 0.3, 0.0][chance(i / 9) as usize % 8];
        let values: Vec<f32> = (0..mask.area()).map(value).collect();
        let mut details = Details::new(frame);
        let tile = |place: usize, x: usize, y: usize| {
            let flat = chance(place) % 3;
            if flat == 0 { f32::from(y.is_multiple_of(2)) } else { chance(place + x * 7 + y * 131) as f32 / (1 << 24) as f32 }
        };
        let places: Vec<_> = places.into_iter().filter(|&place| place < details.grid().area()).collect();
        for (tile_of, &place) in details.lay(&places).1.iter_mut().zip(&places) {
            tile_of.fill(|out| {
                out.iter_mut().enumerate().for_each(|(i, out)| *out = tile(place, i % TILE, i / TILE));
            });
        }
        let settings = MatteSettings { invert, threshold, ..Default::default() };
        let mut finisher = Finisher::new(frame, MaskLayout::covering(mask));
        let mut readers: [MatteReader; 2] = [finisher.reader(), finisher.reader()];
        let matte = finisher.matte(&values, &settings);
        let [plain, tiled] = &mut readers;
        let mut plain = matte.rows(plain);
        let mut tiled = matte.with_details(Some(&details)).rows(tiled);
        for y in order.into_iter().map(|y| y % height).chain(0..height) {
            let (plain, tiled) = (plain.row(y), tiled.row(y));
            for x in 0..width {
                let place = y / TILE * details.grid().width + x / TILE;
                let want = if places.contains(&place) {
                    let value = details.row(y).find(|(span, ..)| *span == x / TILE).map_or(f32::NAN, |(.., row)| row[x % TILE]);
                    let value = if threshold > 0.0 { f32::from(value >= threshold) } else { value };
                    if invert { 1.0 - value } else { value }
                } else {
                    plain.values[x]
                };
                prop_assert_eq!(tiled.values[x], want, "{} {}", x, y);
                prop_assert_eq!(tiled.codes[x], u8::of_share(want));
                match tiled.covers[x / SPAN] {
                    Cover::Clear => prop_assert_eq!(want, 0.0),
                    Cover::Opaque => prop_assert_eq!(want, 1.0),
                    Cover::Soft => {}
                }
            }
        }
    }
}

#[test]
fn far_from_an_edge_nothing_is_soft() {
    let (frame, mask) = (Size { width: 1024, height: 64 }, Size { width: 256, height: 16 });
    let values: Vec<f32> =
        (0..mask.area()).map(|i| if i % 256 < 128 { 0.0 } else { 0.9995 }).collect();
    let mut finisher = Finisher::new(frame, MaskLayout::covering(mask));
    let mut reader: MatteReader = finisher.reader();
    let matte = finisher.matte(&values, &MatteSettings::default());
    let soft = |matte: Matte<'_>, reader: &mut MatteReader| {
        let covers = matte.rows(reader).row(32).covers.to_vec();
        covers.iter().filter(|cover| **cover == Cover::Soft).count()
    };
    assert_eq!(soft(matte, &mut reader), 2);
    // All that is only nearly 1, and the cover before, which looks at the first of it.
    assert_eq!(soft(matte.to_bits(16), &mut reader), 9);
}

#[test]
fn runs_are_as_long_as_can_be() {
    use Cover::*;
    let covers = [Clear, Clear, Soft, Opaque];
    let found: Vec<_> = spans(&covers, 200).collect();
    assert_eq!(found, [(Clear, 0..128), (Soft, 128..192), (Opaque, 192..200)]);
    assert_eq!(spans(&[], 0).count(), 0);
}
