// SPDX-License-Identifier: MIT

use super::*;
use crate::matting::compose::backdrop::{Backdrop, Background};
use crate::matting::compose::composer::{Colors, Composer, Layers, Person};
use crate::matting::compose::output::Output;
use crate::matting::compose::width::Width;
use crate::matting::frame::pixel_format::{Component, Family, PixelFormat};
use crate::matting::frame::view::OwnedFrame;
use crate::matting::matte::enlarge::WholeMatte;

fn layout(format: PixelFormat, width: usize, height: usize) -> FrameLayout {
    FrameLayout::new(format, width, height)
}

/// A frame with `code(component, x, y)` in units of an 8-bit code, x and y in pixels; opaque.
fn frame(layout: FrameLayout, code: impl Fn(usize, usize, usize) -> f32) -> OwnedFrame {
    let (bits, components) = (layout.format.depth().bits, layout.format.components());
    OwnedFrame::painted(layout, |index, x, y| {
        let Component { h_shift, v_shift, .. } = components[index];
        match index {
            3 => (1 << bits) - 1,
            _ => {
                (code(index, x << h_shift, y << v_shift) * (1 << (bits - 8)) as f32).round() as u32
            }
        }
    })
}

fn compose(
    frame: &OwnedFrame,
    to: FrameLayout,
    output: Output,
    matte: impl Fn(usize, usize) -> f32,
) -> Codes {
    let composed = match to.format.sample_bytes() {
        1 => compose_of::<u8>(frame, to, output, matte),
        _ => compose_of::<u16>(frame, to, output, matte),
    };
    Codes::of(&composed)
}

fn compose_of<S: Width>(
    frame: &OwnedFrame,
    to: FrameLayout,
    output: Output,
    matte: impl Fn(usize, usize) -> f32,
) -> OwnedFrame {
    let mut matte = WholeMatte::<S>::new(to.width, to.height, matte);
    let mut foreground = Foreground::new(frame.view().layout(), &to);
    foreground.update(&frame.view(), &mut matte);
    let rows = foreground.rows();
    compose_with(frame, to, output, &mut matte, (&foreground, rows))
}

fn compose_with<S: Width>(
    frame: &OwnedFrame,
    to: FrameLayout,
    output: Output,
    matte: &mut WholeMatte<S>,
    (foreground, rows): (&Foreground<S>, ForegroundRows<S>),
) -> OwnedFrame {
    let from = *frame.view().layout();
    let mut composer = Composer::new(&from, &to, output).unwrap();
    let backdrop = Backdrop::new(&Background::Color(0xff00_0000), &from, &to).unwrap();
    let mut target = OwnedFrame::new(to);
    let view = frame.view();
    let colors = Colors::Frame(&view);
    let layers =
        Layers { colors, person: Some(Person::Estimated(foreground)), backdrop: &backdrop };
    composer.person_rows.estimated = Some(Box::new(rows));
    composer.compose(&layers, matte, 0..from.height, &mut target.view_mut());
    target
}

/// What a frame holds.
struct Codes {
    layout: FrameLayout,
    codes: Vec<Vec<u32>>,
}

impl Codes {
    fn of(frame: &OwnedFrame) -> Self {
        Self { layout: *frame.view().layout(), codes: frame.codes() }
    }

    /// At a pixel, in units of an 8-bit code.
    fn at(&self, index: usize, x: usize, y: usize) -> f32 {
        let component = self.layout.format.components()[index];
        let (x, y) = (x >> component.h_shift, y >> component.v_shift);
        let code = self.codes[index][y * component.width(self.layout.width) + x];
        code as f32 / (1 << (self.layout.format.depth().bits - 8)) as f32
    }
}

/// From 1 on the left to 0 on the right, over 16 pixels.
fn edge(x: usize, middle: usize) -> f32 {
    (0.5 + (middle as f32 - x as f32) / 16.0).clamp(0.0, 1.0)
}

const PERSON: [f32; 3] = [200.0, 100.0, 150.0];
const ROOM: [f32; 3] = [40.0, 180.0, 90.0];

#[test]
fn a_known_mixture_is_taken_apart_in_every_format() {
    for format in PixelFormat::ALL {
        for (width, height) in [(96, 64), (97, 63), (800, 700)] {
            let layout = layout(format, width, height);
            let mixed = frame(layout, |index, x, _| {
                let share = edge(x, width / 2);
                share * PERSON[index] + (1.0 - share) * ROOM[index]
            });
            for output in [Output::Cutout, Output::Composite] {
                if !output.formats(format).contains(&format) {
                    continue;
                }
                let out = compose(&mixed, layout, output, |x, _| edge(x, width / 2));
                let persons = PERSON.into_iter().take(format.color_components().len());
                for (index, person) in persons.enumerate() {
                    for x in width / 2 - 6..width / 2 + 4 {
                        let share = edge(x, width / 2);
                        let got = out.at(index, x, 33);
                        let behind = match (format.family(), index) {
                            (Family::Rgb, _) => 0.0,
                            (_, 0) => black(&layout, 0),
                            _ => 128.0,
                        };
                        let want = match output {
                            Output::Cutout => person,
                            _ => share * person + (1.0 - share) * behind,
                        };
                        let off = (got - want).abs();
                        assert!(off <= 12.0, "{format:?} {output:?} {width} at {x}: {got}, {want}");
                    }
                }
            }
        }
    }
}

#[test]
fn an_opaque_pixel_is_the_frame_s_and_a_clear_one_shows_no_room() {
    for from in PixelFormat::ALL {
        for to in Output::Cutout.formats(from) {
            let (from, to) = (layout(from, 203, 120), layout(to, 203, 120));
            let noise = |c: usize, x: usize, y: usize| ((x * 37 + y * 101 + c * 59) % 256) as f32;
            // Two rooms beside one person, who ends at pixel 100.
            let rooms = [0.0, 255.0].map(|room| {
                let own = |c, x, y| if x < 92 { noise(c, x, y) } else { room };
                compose(&frame(from, own), to, Output::Cutout, |x, _| edge(x, 100))
            });
            for index in 0..3 {
                for y in 0..120 {
                    let far = rooms.each_ref().map(|out| out.at(index, 190, y));
                    assert_eq!(far, [black(&to, index); 2], "{:?} to {:?}", from.format, to.format);
                    if from.format == to.format {
                        let got = rooms[0].at(index, 40, y);
                        let x = 40 >> to.format.components()[index].h_shift
                            << to.format.components()[index].h_shift;
                        let v = to.format.components()[index].v_shift;
                        assert_eq!(got, noise(index, x, y >> v << v));
                    }
                }
            }
        }
    }
}

#[test]
fn any_frame_with_any_matte_is_done() {
    let noise = |c: usize, x: usize, y: usize| ((x * 97 + y * 61 + c * 29) * 73 % 256) as f32;
    let mattes: [fn(usize, usize) -> f32; 5] = [
        |_, _| 0.0,
        |_, _| 1.0,
        |_, _| 0.5,
        |x, y| ((x * 31 + y * 17) % 11) as f32 / 10.0,
        |x, _| if x % 2 == 0 { 1.0 } else { 0.0 },
    ];
    for format in PixelFormat::ALL {
        for (width, height) in [(1, 1), (1, 9), (9, 1), (2, 2), (17, 33), (66, 35), (1400, 2)] {
            for flat in [false, true] {
                let layout = layout(format, width, height);
                let picture = frame(layout, |c, x, y| if flat { 77.0 } else { noise(c, x, y) });
                for matte in mattes {
                    for output in [Output::Composite, Output::Cutout] {
                        for to in output.formats(format) {
                            let to = FrameLayout { format: to, ..layout };
                            compose(&picture, to, output, matte);
                        }
                    }
                }
            }
        }
    }
}

/// Where nearly everything is soft the finest level is left out, which makes no other picture, and a
/// matte that is about as soft as that does not change it from frame to frame.
#[test]
fn a_matte_that_is_soft_everywhere_is_taken_apart_in_less_detail() {
    let layout = layout(PixelFormat::I420, 640, 480);
    // From 1 on the left to 0 at the share of the width that is soft.
    let ramp = |share: f32| move |x: usize| (1.0 - x as f32 / 640.0 / share).clamp(0.0, 1.0);
    let mut foreground = Foreground::<u8>::new(&layout, &layout);
    let mut was_crowded = Vec::new();
    for share in [0.45, 1.0, 0.45, 0.3, 0.45] {
        let alpha = ramp(share);
        let mixed = frame(layout, |c, x, _| {
            // Chroma lies between two pixels.
            let at = if c == 0 { alpha(x) } else { 0.5 * (alpha(x) + alpha(x + 1)) };
            at * PERSON[c] + (1.0 - at) * ROOM[c]
        });
        let mut matte = WholeMatte::new(640, 480, |x, _| alpha(x));
        foreground.update(&mixed.view(), &mut matte);
        was_crowded.push(foreground.is_crowded);
        let parts = (&foreground, foreground.rows());
        let out = compose_with(&mixed, layout, Output::Composite, &mut matte, parts);
        let out = Codes::of(&out);
        for x in (8..640).step_by(9) {
            for (index, person) in PERSON.into_iter().enumerate() {
                let behind = if index == 0 { black(&layout, 0) } else { 128.0 };
                let want = alpha(x) * person + (1.0 - alpha(x)) * behind;
                let off = (out.at(index, x, 201) - want).abs();
                assert!(off <= 8.0, "{share} at {x}: {off} in {index}");
            }
        }
    }
    assert_eq!(was_crowded, [false, true, true, false, false]);
}

/// What is estimated is finite and within the codes, whatever is left of earlier frames.
#[test]
fn estimates_stay_within_the_codes() {
    let layout = layout(PixelFormat::Rgb, 300, 200);
    let mut foreground = Foreground::<u8>::new(&layout, &layout);
    for round in 1..4 {
        let noise = |c: usize, x: usize, y: usize| ((x * 97 * round + y * 61 + c) % 256) as f32;
        let mut matte = WholeMatte::new(300, 200, |x, y| ((x / round + y) % 13) as f32 / 12.0);
        foreground.update(&frame(layout, noise).view(), &mut matte);
        let ForegroundRows { mut sides, mut scratch, .. } = foreground.rows();
        let (finest, coarser) = (&foreground.levels[0], &foreground.levels[1..]);
        for y in 0..finest.height {
            finest.estimate_until(y, coarser.first(), &mut sides, &mut scratch);
            assert!(sides.row(y).iter().all(|code| (-0.01..=255.01).contains(code)));
        }
        for level in coarser {
            assert!(level.sides.values.iter().all(|code| (-0.01..=255.01).contains(code)));
        }
    }
}

/// Estimating the finest level as rows ask for it, and keeping few of its rows, is no other estimate.
#[test]
fn rows_that_are_estimated_when_asked_for_are_the_same() {
    let noise = |c: usize, x: usize, y: usize| ((x * 97 + y * 61 + c * 29) * 73 % 256) as f32;
    let mattes: [fn(usize, usize) -> f32; 3] = [
        |x, _| edge(x, 60),
        |x, y| edge(x * x / 40 + y * y / 30, 150),
        |x, y| if y % 90 < 30 { 0.0 } else { ((x / 40 + y / 30) % 3) as f32 / 2.0 },
    ];
    for (from, to, output) in [
        (PixelFormat::I420, PixelFormat::I420, Output::Composite),
        (PixelFormat::Yuy2, PixelFormat::Rgba, Output::Cutout),
        (PixelFormat::Nv12, PixelFormat::A420, Output::Cutout),
        (PixelFormat::V210, PixelFormat::A422_10Le, Output::Cutout),
        (PixelFormat::P010_10Le, PixelFormat::P010_10Le, Output::Composite),
    ] {
        for ((width, height), matte) in
            [(203, 121), (90, 200), (700, 650)].into_iter().flat_map(|s| mattes.map(|m| (s, m)))
        {
            let (from, to) = (layout(from, width, height), layout(to, width, height));
            let picture = frame(from, noise);
            let [asked, whole] = [false, true].map(|whole| match to.format.sample_bytes() {
                1 => compose_early::<u8>(&picture, to, output, matte, whole),
                _ => compose_early::<u16>(&picture, to, output, matte, whole),
            });
            assert!(asked.codes() == whole.codes(), "{to:?}");
        }
    }
}

/// Composes after the `whole` finest level was estimated, or not.
fn compose_early<S: Width>(
    picture: &OwnedFrame,
    to: FrameLayout,
    output: Output,
    matte: fn(usize, usize) -> f32,
    whole: bool,
) -> OwnedFrame {
    let mut matte = WholeMatte::<S>::new(to.width, to.height, matte);
    let mut foreground = Foreground::new(picture.view().layout(), &to);
    foreground.update(&picture.view(), &mut matte);
    let mut rows = foreground.rows();
    if whole {
        let level = &foreground.levels[0];
        rows.restart(foreground.frame);
        rows.sides = Sides::new(level.width, level.height);
        let coarser = foreground.levels.get(1);
        let (sides, scratch) = (&mut rows.sides, &mut rows.scratch);
        level.estimate_until(level.height - 1, coarser, sides, scratch);
    }
    compose_with(picture, to, output, &mut matte, (&foreground, rows))
}
