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

fn noise(layout: FrameLayout) -> OwnedFrame {
    let mut frame = OwnedFrame::new(layout);
    for plane in 0..layout.format.planes() {
        for y in 0..layout.format.plane_rows(plane, layout.height) {
            for (x, byte) in frame.view_mut().row_mut(plane, y).iter_mut().enumerate() {
                *byte = (x * 37 + y * 101 + plane * 59) as u8;
            }
        }
    }
    // Opaque, where there is alpha.
    if let Some(alpha) = layout.format.alpha() {
        for y in 0..layout.height {
            let mut view = frame.view_mut();
            let row = view.row_mut(alpha.plane, y);
            row[alpha.offset..].iter_mut().step_by(alpha.step).for_each(|byte| *byte = 255);
        }
    }
    frame
}

fn compose(
    frame: &OwnedFrame,
    to: FrameLayout,
    output: Output,
    matte: f32,
    background: Background,
) -> OwnedFrame {
    let from = *frame.view().layout();
    let mut composer = Composer::new(&from, &to, output).unwrap();
    let mut backdrop = Backdrop::new(&background, &from, &to).unwrap();
    let mut target = OwnedFrame::new(to);
    let mut matte = WholeMatte::flat(from.width, from.height, matte);
    let view = frame.view();
    backdrop.update(&view, &mut matte);
    let layers = Layers { colors: Colors::Frame(&view), foreground: None, backdrop: &backdrop };
    composer.compose(&layers, &mut matte, 0..from.height, &mut target.view_mut());
    target
}

const SINKS: usize = 21;

#[test]
fn every_pair_that_is_offered_is_made_at_every_size() {
    for from in &PixelFormat::ALL[..SINKS] {
        for output in [Output::Composite, Output::Cutout, Output::Alpha] {
            for to in output.formats(*from) {
                for (width, height) in [(1, 1), (2, 2), (3, 5), (1, 4), (6, 1)] {
                    let frame = noise(layout(*from, width, height));
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
fn an_opaque_matte_keeps_the_frame_and_a_clear_one_shows_the_background() {
    for format in &PixelFormat::ALL[..SINKS] {
        let layout = layout(*format, 7, 5);
        let frame = noise(layout);
        let kept = compose(&frame, layout, Output::Composite, 1.0, Background::Color(0xff00ff00));
        let other = noise_shifted(layout);
        let gone = [&frame, &other].map(|frame| {
            compose(frame, layout, Output::Composite, 0.0, Background::Color(0xff00ff00))
        });
        for plane in 0..format.planes() {
            for y in 0..format.plane_rows(plane, 5) {
                for component in format.in_plane(plane) {
                    for x in 0..component.width(7) {
                        let at = x * component.step + component.offset;
                        assert_eq!(kept.row(plane, y)[at], frame.row(plane, y)[at], "{format:?}");
                        assert_eq!(
                            gone[0].row(plane, y)[at],
                            gone[1].row(plane, y)[at],
                            "{format:?}"
                        );
                    }
                }
            }
        }
    }
}

fn noise_shifted(layout: FrameLayout) -> OwnedFrame {
    let mut frame = noise(layout);
    for plane in 0..layout.format.planes() {
        for y in 0..layout.format.plane_rows(plane, layout.height) {
            let mut view = frame.view_mut();
            view.row_mut(plane, y).iter_mut().for_each(|byte| *byte = byte.wrapping_mul(5) ^ 0x55);
        }
    }
    frame
}

#[test]
fn in_place_is_the_same_as_beside() {
    for format in &PixelFormat::ALL[..SINKS] {
        for output in [Output::Composite, Output::Cutout] {
            let layout = layout(*format, 7, 5);
            if !output.formats(*format).contains(format) {
                continue;
            }
            let mut frame = noise(layout);
            let background = Background::Color(0x40102030);
            let want = compose(&frame, layout, output, 0.3, background.clone());
            let mut composer = Composer::new(&layout, &layout, output).unwrap();
            let backdrop = Backdrop::new(&background, &layout, &layout).unwrap();
            let layers = Layers { colors: Colors::InPlace, foreground: None, backdrop: &backdrop };
            let matte = &mut WholeMatte::flat(7, 5, 0.3);
            composer.compose(&layers, matte, 0..5, &mut frame.view_mut());
            for plane in 0..format.planes() {
                for y in 0..format.plane_rows(plane, 5) {
                    assert_eq!(frame.row(plane, y), want.row(plane, y), "{format:?} {output:?}");
                }
            }
        }
    }
}

/// Where a matte is all 0 or 1 nothing is blended, and less is converted.
#[test]
fn knowing_where_a_matte_is_soft_changes_nothing() {
    let (width, height) = (331, 21);
    let edge = |x: usize, y: usize| (x as f32 - 150.0 - 3.0 * y as f32) / 9.0;
    let matte = || WholeMatte::new(width, height, |x, y| edge(x, y).clamp(0.0, 1.0));
    for from in &PixelFormat::ALL[..SINKS] {
        let from = layout(*from, width, height);
        let frame = noise(from);
        let view = frame.view();
        for output in [Output::Composite, Output::Cutout, Output::Alpha] {
            for to in output.formats(from.format) {
                let to = layout(to, width, height);
                for (argb, purifies) in [(0xff112233, false), (0x80112233, true)] {
                    let background = Background::Color(argb);
                    let backdrop = Backdrop::new(&background, &from, &to).unwrap();
                    let [known, unknown] =
                        [matte(), matte().with_unknown_covers()].map(|mut matte| {
                            let mut foreground = Foreground::new(&from, &to);
                            foreground.update(&view, &mut matte);
                            let foreground =
                                (purifies && output != Output::Alpha).then_some(&foreground);
                            let mut composer = Composer::new(&from, &to, output).unwrap();
                            let mut beside = OwnedFrame::new(to);
                            let layers = Layers {
                                colors: Colors::Frame(&view),
                                foreground,
                                backdrop: &backdrop,
                            };
                            composer.compose(
                                &layers,
                                &mut matte,
                                0..height,
                                &mut beside.view_mut(),
                            );
                            if !composer.works_in_place() {
                                return [beside, OwnedFrame::new(to)];
                            }
                            let mut within = noise(to);
                            let layers = Layers { colors: Colors::InPlace, ..layers };
                            composer.compose(
                                &layers,
                                &mut matte,
                                0..height,
                                &mut within.view_mut(),
                            );
                            [beside, within]
                        });
                    for (known, unknown) in known.iter().zip(&unknown) {
                        for plane in 0..to.format.planes() {
                            for y in 0..to.format.plane_rows(plane, height) {
                                let [known, unknown] = [known, unknown].map(|f| f.row(plane, y));
                                assert!(known == unknown, "{from:?} to {to:?}, {output:?}, {y}");
                            }
                        }
                    }
                }
            }
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
    for from in &PixelFormat::ALL[..SINKS] {
        for to in Output::Cutout.formats(*from) {
            let (from, to) = (layout(*from, 7, 5), layout(to, 7, 5));
            let composer = Composer::new(&from, &to, Output::Cutout).unwrap();
            let [one, other] = [noise(to), noise_shifted(to)].map(|mut target| {
                composer.clear(&mut target.view_mut());
                target
            });
            let alpha = to.format.alpha().unwrap();
            for plane in 0..to.format.planes() {
                for y in 0..to.format.plane_rows(plane, 5) {
                    assert_eq!(one.row(plane, y), other.row(plane, y), "{:?}", to.format);
                }
            }
            assert_eq!(one.row(alpha.plane, 2)[alpha.offset], 0);
        }
    }
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
