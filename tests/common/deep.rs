//! Frames of more than 8 bits, written and read by GStreamer's own functions for their formats.

use gst_video::prelude::*;
use gst_video::{VideoChromaSite, VideoFormatInfo, VideoInfo, VideoPackFlags};

/// Bytes of a pixel that is taken apart: alpha and three components of 16 bits.
const PIXEL: usize = 8;
/// More than any function looks at beyond a plane's end.
const BEYOND: usize = 2;

/// Where a component lies in a pixel that is taken apart: alpha comes first.
fn place(component: usize) -> usize {
    if component == 3 { 0 } else { component + 1 }
}

/// Rows of a plane.
fn rows(info: &VideoInfo, plane: u32) -> usize {
    let component =
        (0..info.n_components() as u8).find(|&c| info.format_info().plane()[c as usize] == plane);
    component.map_or(0, |c| info.comp_height(c) as usize)
}

/// A frame with `value(component, x, y)` as samples, the upper bits of which count.
pub fn paint(info: &VideoInfo, value: impl Fn(usize, usize, usize) -> u16) -> Vec<u8> {
    let format = info.format_info();
    let strides = info.stride();
    let planes = 0..info.n_planes();
    let mut data: Vec<Vec<u8>> = planes
        .clone()
        .map(|plane| vec![0; strides[plane as usize] as usize * info.height() as usize * BEYOND])
        .collect();
    for y in 0..info.height() as usize {
        let mut row = vec![0xff; PIXEL * info.width() as usize];
        for (x, pixel) in row.chunks_exact_mut(PIXEL).enumerate() {
            for c in 0..info.n_components() as usize {
                let (w_sub, h_sub) = (format.w_sub()[c], format.h_sub()[c]);
                let sample = value(c, x >> w_sub, y >> h_sub).to_ne_bytes();
                pixel[2 * place(c)..][..2].copy_from_slice(&sample);
            }
        }
        let mut slices: Vec<&mut [u8]> = data.iter_mut().map(Vec::as_mut_slice).collect();
        format.pack(
            VideoPackFlags::TRUNCATE_RANGE,
            &row,
            row.len() as i32,
            &mut slices,
            strides,
            VideoChromaSite::NONE,
            y as i32,
            info.width() as i32,
        );
    }
    let mut frame = vec![0; info.size()];
    for plane in planes {
        let bytes = rows(info, plane) * strides[plane as usize] as usize;
        let start = info.offset()[plane as usize];
        frame[start..start + bytes].copy_from_slice(&data[plane as usize][..bytes]);
    }
    frame
}

/// The samples of a frame, component by component, two bytes each.
pub fn samples(frame: &gst_video::VideoFrameRef<&gst::BufferRef>) -> Vec<Vec<u8>> {
    let info = frame.info();
    let format: VideoFormatInfo = info.format_info();
    let planes: Vec<Vec<u8>> = (0..info.n_planes())
        .map(|plane| {
            let mut data = frame.plane_data(plane).unwrap().to_vec();
            let stride = frame.plane_stride()[plane as usize] as usize;
            data.resize(data.len().max(stride * info.height() as usize) * BEYOND, 0);
            data
        })
        .collect();
    let slices: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
    let (width, height) = (info.width() as usize, info.height() as usize);
    let unpacked: Vec<Vec<u8>> = (0..height)
        .map(|y| {
            let mut row = vec![0; PIXEL * width];
            let flags = VideoPackFlags::TRUNCATE_RANGE;
            let strides = &frame.plane_stride()[..slices.len()];
            format.unpack(flags, &mut row, &slices, strides, 0, y as i32, width as i32);
            row
        })
        .collect();
    (0..info.n_components() as usize)
        .map(|c| {
            let (w_step, h_step) = (1 << format.w_sub()[c], 1 << format.h_sub()[c]);
            let rows = unpacked.iter().step_by(h_step);
            let pixels = rows.flat_map(|row| row.chunks_exact(PIXEL).step_by(w_step));
            pixels.flat_map(|pixel| pixel[2 * place(c)..][..2].to_vec()).collect()
        })
        .collect()
}
