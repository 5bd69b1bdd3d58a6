// SPDX-License-Identifier: MIT

//! A frame's rows, shared among threads in slices that lie one below the other.

use std::ops::Range;

use crate::matting::frame::view::FrameViewMut;
use crate::matting::kernels::threads::{MOST, threads};

/// A slice has at least so many pixels: one that is made in less than about a quarter of a
/// millisecond is not worth waking a thread.
const LEAST_PIXELS: usize = 1 << 18;

/// Into how many slices a frame is divided for `threads` threads.
pub fn count(width: usize, height: usize, threads: usize) -> usize {
    (width * height / LEAST_PIXELS).min(threads).min(height.div_ceil(2)).clamp(1, MOST)
}

/// Has `work` done on all rows of `target`, 0 to `height`, one slice for each of `slices`; at the same
/// time, if there are several.
pub fn share<T: Send>(
    slices: &mut [T],
    height: usize,
    target: FrameViewMut<'_>,
    work: &(impl Fn(&mut T, Range<usize>, &mut FrameViewMut<'_>) + Sync),
) {
    let threads = if slices.len() > 1 { threads() } else { None };
    match (threads, slices) {
        (Some(threads), slices) => threads.install(|| halve(slices, 0..height, target, work)),
        (None, [slice, ..]) => work(slice, 0..height, &mut { target }),
        (None, []) => {}
    }
}

/// Divides slices and rows until a single slice is left. `join` takes nothing from the heap.
fn halve<T: Send>(
    slices: &mut [T],
    rows: Range<usize>,
    mut target: FrameViewMut<'_>,
    work: &(impl Fn(&mut T, Range<usize>, &mut FrameViewMut<'_>) + Sync),
) {
    match slices {
        [] => return,
        [slice] => return work(slice, rows, &mut target),
        _ => {}
    }
    let share = rows.len() * (slices.len() / 2) / slices.len();
    // Rows of chroma belong to two rows of luma.
    let middle = rows.start + share / 2 * 2;
    let (above, below) = slices.split_at_mut(slices.len() / 2);
    let [upper, lower] = target.split_at_row(middle);
    rayon::join(
        || halve(above, rows.start..middle, upper, work),
        || halve(below, middle..rows.end, lower, work),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::frame::pixel_format::PixelFormat;
    use crate::matting::frame::view::{FrameLayout, OwnedFrame};

    #[test]
    fn every_row_is_made_once() {
        for height in [1, 2, 3, 5, 8, 17, 1080] {
            for count in [1, 2, 3, 5, 8] {
                let format = PixelFormat::I420;
                let layout = FrameLayout::new(format, 4, height);
                let mut frame = OwnedFrame::new(layout);
                let mut slices = vec![0; count];
                share(&mut slices, height, frame.view_mut(), &|made, rows, target| {
                    *made += rows.len();
                    for y in rows {
                        target.row_mut(0, y)[0] += 1;
                        if y % 2 == 0 {
                            target.row_mut(1, y / 2)[0] += 1;
                        }
                    }
                });
                assert_eq!(slices.iter().sum::<usize>(), height);
                assert!((0..height).all(|y| frame.row(0, y)[0] == 1), "{height} in {count}");
                assert!((0..height.div_ceil(2)).all(|y| frame.row(1, y)[0] == 1));
            }
        }
    }

    #[test]
    fn small_frames_are_not_divided() {
        assert_eq!(count(640, 480, 8), 1);
        assert_eq!(count(1920, 1080, 1), 1);
        assert_eq!(count(1920, 1080, 4), 4);
        assert_eq!(count(3840, 2160, 64), MOST);
        assert_eq!(count(1 << 20, 1, 8), 1);
    }
}
