// SPDX-License-Identifier: MIT

use super::*;
use crate::matting::compose::backdrop::Background;
use crate::matting::frame::color::{Colorimetry, Range};
use crate::matting::frame::view::OwnedFrame;
use crate::matting::matte::enlarge::WholeMatte;

fn layout(format: PixelFormat, width: usize, height: usize) -> FrameLayout {
    let range = if format.family() == Family::Yuv { Range::Limited } else { Range::Full };
    FrameLayout {
        format,
        width,
        height,
        color: Colorimetry { range, ..Default::default() },
        pixel_aspect: Default::default(),
    }
}

/// Codes that differ from sample to sample, in all of their bits; opaque.
fn noise(layout: FrameLayout) -> OwnedFrame {
    noise_of(layout, 0x9e37_79b9)
}

fn noise_of(layout: FrameLayout, seed: u32) -> OwnedFrame {
    let mask = (1 << layout.format.depth().bits) - 1;
    OwnedFrame::painted(layout, |component, x, y| match component {
        3 => mask,
        _ => ((x * 37 + y * 101 + component * 59 + 1) as u32).wrapping_mul(seed) >> 7 & mask,
    })
}

fn compose(
    frame: &OwnedFrame,
    to: FrameLayout,
    output: Output,
    matte: f32,
    background: Background,
) -> OwnedFrame {
    match to.format.sample_bytes() {
        1 => compose_of::<u8>(frame, to, output, matte, background),
        _ => compose_of::<u16>(frame, to, output, matte, background),
    }
}

fn compose_of<S: Width>(
    frame: &OwnedFrame,
    to: FrameLayout,
    output: Output,
    matte: f32,
    background: Background,
) -> OwnedFrame {
    let mut target = OwnedFrame::new(to);
    compose_into::<S>(frame, &mut target, output, matte, background);
    target
}

fn compose_into<S: Width>(
    frame: &OwnedFrame,
    target: &mut OwnedFrame,
    output: Output,
    matte: f32,
    background: Background,
) {
    let (from, to) = (*frame.view().layout(), *target.view().layout());
    let mut composer = Composer::<S>::new(&from, &to, output).unwrap();
    let mut backdrop = Backdrop::new(&background, &from, &to).unwrap();
    let mut matte = WholeMatte::flat(from.width, from.height, matte);
    let view = frame.view();
    backdrop.update(&view, &mut matte);
    let layers = Layers { colors: Colors::Frame(&view), person: None, backdrop: &backdrop };
    composer.compose(&layers, &mut matte, 0..from.height, &mut target.view_mut());
}

/// Every format in which frames come in.
fn sinks() -> impl Iterator<Item = PixelFormat> {
    PixelFormat::ALL.into_iter()
}

#[test]
fn every_pair_that_is_offered_is_made_at_every_size() {
    for from in sinks() {
        for output in [Output::Composite, Output::Cutout, Output::Alpha] {
            for to in output.formats(from) {
                for (width, height) in [(1, 1), (2, 2), (3, 5), (1, 4), (6, 1)] {
                    let frame = noise(layout(from, width, height));
                    for background in [
                        Background::Color(0x80112233),
                        Background::Blur(0.1),
                        Background::Checkerboard,
                    ] {
                        compose(&frame, layout(to, width, height), output, 0.4, background);
                    }
                }
            }
        }
    }
}

#[test]
fn nothing_of_what_was_in_memory_leaves() {
    for from in sinks() {
        let frame = noise(layout(from, 12, 4));
        for output in [Output::Composite, Output::Cutout, Output::Alpha] {
            for to in output.formats(from) {
                let to = layout(to, 12, 4);
                let [clean, used] = [0, 165].map(|before| {
                    let mut target = OwnedFrame::new(to);
                    for plane in 0..to.format.planes() {
                        for y in 0..to.format.plane_rows(plane, 4) {
                            target.view_mut().row_mut(plane, y).fill(before);
                        }
                    }
                    let background = Background::Checkerboard;
                    match to.format.sample_bytes() {
                        1 => compose_into::<u8>(&frame, &mut target, output, 0.4, background),
                        _ => compose_into::<u16>(&frame, &mut target, output, 0.4, background),
                    }
                    target
                });
                for plane in 0..to.format.planes() {
                    for y in 0..to.format.plane_rows(plane, 4) {
                        assert_eq!(
                            clean.row(plane, y),
                            used.row(plane, y),
                            "{from:?} {to:?} {output:?}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn an_opaque_matte_keeps_the_frame_and_a_clear_one_shows_the_background() {
    for format in sinks() {
        let layout = layout(format, 7, 5);
        let frame = noise(layout);
        let kept = compose(&frame, layout, Output::Composite, 1.0, Background::Color(0xff00ff00));
        let other = noise_of(layout, 0x2545_f491);
        let gone = [&frame, &other].map(|frame| {
            compose(frame, layout, Output::Composite, 0.0, Background::Color(0xff00ff00)).codes()
        });
        assert_eq!(kept.codes(), frame.codes(), "{format:?}");
        assert_eq!(gone[0], gone[1], "{format:?}");
    }
}

#[test]
fn in_place_is_the_same_as_beside() {
    for format in sinks() {
        for output in [Output::Composite, Output::Cutout] {
            let layout = layout(format, 7, 5);
            if !output.formats(format).contains(&format) {
                continue;
            }
            let mut frame = noise(layout);
            let background = Background::Color(0x40102030);
            let want = compose(&frame, layout, output, 0.3, background.clone());
            match format.sample_bytes() {
                1 => compose_in_place::<u8>(&mut frame, output, &background),
                _ => compose_in_place::<u16>(&mut frame, output, &background),
            }
            assert_eq!(frame.codes(), want.codes(), "{format:?} {output:?}");
        }
    }
}

fn compose_in_place<S: Width>(frame: &mut OwnedFrame, output: Output, background: &Background) {
    let layout = *frame.view().layout();
    let mut composer = Composer::<S>::new(&layout, &layout, output).unwrap();
    let backdrop = Backdrop::new(background, &layout, &layout).unwrap();
    let layers = Layers { colors: Colors::InPlace, person: None, backdrop: &backdrop };
    let matte = &mut WholeMatte::flat(layout.width, layout.height, 0.3);
    composer.compose(&layers, matte, 0..layout.height, &mut frame.view_mut());
}

/// Where a matte is all 0 or 1 nothing is blended, and less is converted.
#[test]
fn knowing_where_a_matte_is_soft_changes_nothing() {
    let (width, height) = (331, 21);
    for from in sinks() {
        let frame = noise(layout(from, width, height));
        for output in [Output::Composite, Output::Cutout, Output::Alpha] {
            for to in output.formats(from) {
                let to = layout(to, width, height);
                match to.format.sample_bytes() {
                    1 => compare_covers::<u8>(&frame, to, output),
                    _ => compare_covers::<u16>(&frame, to, output),
                }
            }
        }
    }
}

fn compare_covers<S: Width>(frame: &OwnedFrame, to: FrameLayout, output: Output) {
    let (view, FrameLayout { width, height, .. }) = (frame.view(), to);
    let from = *view.layout();
    let edge = |x: usize, y: usize| (x as f32 - 150.0 - 3.0 * y as f32) / 9.0;
    let matte = || WholeMatte::<S>::new(width, height, |x, y| edge(x, y).clamp(0.0, 1.0));
    for (argb, purifies) in [(0xff112233, false), (0x80112233, true)] {
        let background = Background::Color(argb);
        let backdrop = Backdrop::new(&background, &from, &to).unwrap();
        let [known, unknown] = [matte(), matte().with_unknown_covers()].map(|mut matte| {
            let foreground = (purifies && output != Output::Alpha).then(|| {
                let mut foreground = Foreground::new(&from, &to);
                foreground.update(&view, &mut matte);
                foreground
            });
            let mut composer = Composer::new(&from, &to, output).unwrap();
            let mut beside = OwnedFrame::new(to);
            let colors = Colors::Frame(&view);
            let layers = Layers {
                colors,
                person: foreground.as_ref().map(Person::Estimated),
                backdrop: &backdrop,
            };
            composer.compose(&layers, &mut matte, 0..height, &mut beside.view_mut());
            if !composer.works_in_place() {
                return [beside, OwnedFrame::new(to)];
            }
            let mut within = noise(to);
            let layers = Layers { colors: Colors::InPlace, ..layers };
            composer.compose(&layers, &mut matte, 0..height, &mut within.view_mut());
            [beside, within]
        });
        for (known, unknown) in known.iter().zip(&unknown) {
            let equal = known.codes() == unknown.codes();
            assert!(equal, "{:?} to {:?}, {output:?}", from.format, to.format);
        }
    }
}

#[test]
fn a_cutout_carries_the_matte_times_the_frame_s_own_alpha() {
    let layout = layout(PixelFormat::Rgba, 2, 1);
    let mut frame = OwnedFrame::new(layout);
    frame.view_mut().row_mut(0, 0).copy_from_slice(&[9, 8, 7, 255, 6, 5, 4, 128]);
    let cutout = compose(&frame, layout, Output::Cutout, 0.5, Background::Checkerboard);
    assert_eq!(cutout.row(0, 0), [9, 8, 7, 128, 6, 5, 4, 64]);
}

#[test]
fn a_cleared_cutout_keeps_nothing_of_what_was_there() {
    for from in sinks() {
        for to in Output::Cutout.formats(from) {
            let (from, to) = (layout(from, 7, 5), layout(to, 7, 5));
            let [one, other] = [noise(to), noise_of(to, 0x2545_f491)].map(|mut target| {
                match to.format.sample_bytes() {
                    1 => clear::<u8>(&from, &mut target),
                    _ => clear::<u16>(&from, &mut target),
                }
                target.codes()
            });
            assert_eq!(one, other, "{:?}", to.format);
            assert!(one[3].iter().all(|&alpha| alpha == 0));
        }
    }
}

fn clear<S: Width>(from: &FrameLayout, target: &mut OwnedFrame) {
    let to = *target.view().layout();
    let composer = Composer::<S>::new(from, &to, Output::Cutout).unwrap();
    composer.clear(&mut target.view_mut());
}

#[test]
fn half_over_a_half_clear_background_is_three_quarters_opaque() {
    let layout = layout(PixelFormat::Rgba, 1, 1);
    let mut frame = OwnedFrame::new(layout);
    frame.view_mut().row_mut(0, 0).copy_from_slice(&[255, 255, 255, 255]);
    let target = compose(&frame, layout, Output::Composite, 0.5, Background::Color(0x80000000));
    // 1/2 of white over 1/2 · 1/2 of black: 2/3 white, 3/4 opaque.
    let row = target.row(0, 0);
    assert!(row[0].abs_diff(170) <= 1 && row[3].abs_diff(191) <= 1, "{row:?}");
}

#[test]
fn the_matte_as_luma_honours_the_range() {
    let gray = noise(layout(PixelFormat::Gray8, 2, 2));
    for (to, white) in
        [(PixelFormat::Gray8, 255), (PixelFormat::I420, 235), (PixelFormat::Bgrx, 255)]
    {
        let out = compose(&gray, layout(to, 2, 2), Output::Alpha, 1.0, Background::Checkerboard);
        assert_eq!(out.row(0, 1)[0], white, "{to:?}");
    }
    let out = compose(
        &gray,
        layout(PixelFormat::Gray16Le, 2, 2),
        Output::Alpha,
        0.5,
        Background::Checkerboard,
    );
    assert_eq!(out.row(0, 0), [0x00, 0x80, 0x00, 0x80]);
}
