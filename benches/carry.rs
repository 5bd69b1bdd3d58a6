//! Carries every n-th mask of a clip to the frames that follow, and times it: the part of
//! `tests/reference/carry.py` that is not Python.
//!
//! Arguments: a file of I420 frames, one of as many square masks (f32), the file to write, the
//! frames' width and height, the masks' side, and intervals. Written are the masks of every frame
//! for each interval, and printed the milliseconds (lower quartiles) of looking at a frame and of carrying.

#![allow(missing_docs)]

use std::error::Error;
use std::time::{Duration, Instant};

use gstdavidmatte::matting::parts::*;
use gstdavidmatte::matting::prelude::*;

struct Clip {
    layout: FrameLayout,
    frames: Vec<OwnedFrame>,
    masks: Vec<Vec<f32>>,
    side: usize,
}

#[derive(Default)]
struct Times {
    look: Vec<Duration>,
    carry: Vec<Duration>,
}

fn read(
    frames: &str,
    masks: &str,
    [width, height, side]: [usize; 3],
) -> Result<Clip, Box<dyn Error>> {
    let format = PixelFormat::I420;
    let layout = FrameLayout::new(format, width, height);
    let bytes = std::fs::read(frames)?;
    let mut rest = bytes.as_slice();
    let mut clip = Clip { layout, frames: Vec::new(), masks: Vec::new(), side };
    while !rest.is_empty() {
        let mut frame = OwnedFrame::new(layout);
        for plane in 0..format.planes() {
            for y in 0..format.plane_rows(plane, height) {
                let (row, after) = rest.split_at(format.row_bytes(plane, width));
                frame.view_mut().row_mut(plane, y).copy_from_slice(row);
                rest = after;
            }
        }
        clip.frames.push(frame);
    }
    let values: Vec<f32> =
        std::fs::read(masks)?.as_chunks().0.iter().copied().map(f32::from_le_bytes).collect();
    clip.masks = values.chunks_exact(side * side).map(<[f32]>::to_vec).collect();
    Ok(clip)
}

/// The masks of every frame; those of every `interval`-th are the clip's own.
fn carry(clip: &Clip, interval: usize, times: &mut Times) -> Vec<f32> {
    let size = Size { width: clip.side, height: clip.side };
    let masks = MaskLayout { input: size, mask: size, fit: Fit::Pad, aspect: PixelAspect::SQUARE };
    let frame = Size { width: clip.layout.width, height: clip.layout.height };
    let mut guides = Guides::new(&clip.layout);
    let mut carrier = Carrier::new(frame, guides.size(), masks);
    let mut from = None;
    let mut mask: &[f32] = &[];
    let mut out = vec![0.0; size.area()];
    let mut all = Vec::new();
    for (n, frame) in clip.frames.iter().enumerate() {
        let start = Instant::now();
        let to = guides.look(&frame.view());
        times.look.push(start.elapsed());
        if n % interval == 0 {
            from = Some(to);
            mask = &clip.masks[n];
            all.extend_from_slice(mask);
            continue;
        }
        let start = Instant::now();
        let Some(from) = &from else { continue };
        if carrier.carry(from, mask, &to, &mut out) == Carried::Cut {
            eprintln!("frame {n} is taken for another scene");
        }
        times.carry.push(start.elapsed());
        all.extend_from_slice(&out);
    }
    all
}

/// The lower quartile: what other programs on the machine disturb less than the median.
fn quartile(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times.get(times.len() / 4).map_or(0.0, |time| 1e3 * time.as_secs_f64())
}

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [frames, masks, out, width, height, side, intervals @ ..] = arguments.as_slice() else {
        println!("measured by tests/reference/carry.py, which calls this with a clip");
        return Ok(());
    };
    let clip = read(frames, masks, [width.parse()?, height.parse()?, side.parse()?])?;
    let mut times = Times::default();
    let mut bytes = Vec::new();
    for interval in intervals {
        let masks = carry(&clip, interval.parse()?, &mut times);
        bytes.extend(masks.iter().flat_map(|value| value.to_le_bytes()));
    }
    std::fs::write(out, bytes)?;
    println!("look {:.3} carry {:.3}", quartile(times.look), quartile(times.carry));
    Ok(())
}
