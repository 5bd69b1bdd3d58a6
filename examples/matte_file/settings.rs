//! From the command line to the element's properties.

use std::path::Path;

use gst::glib;
use gst::prelude::*;

use crate::arguments::{Arguments, Background, Inference, Kind, Look};
use crate::error::Error;
use crate::format::Target;

/// The properties of the element that differ from their defaults, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings(Vec<(&'static str, Value)>);

/// Text that the property reads, or a path as it is, which may not be UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Text(String),
    Path(std::path::PathBuf),
}

impl Value {
    fn show(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Path(path) => path.display().to_string(),
        }
    }
}

impl Settings {
    /// What the command line asks for, checked against what the element takes.
    ///
    /// # Errors
    /// [`Error::Setting`] for a value out of range, [`Error::NoEffect`] for what would change
    /// nothing.
    pub fn new(arguments: &Arguments, kind: Kind) -> Result<Self, Error> {
        let mut properties = Vec::new();
        if kind == Kind::Composite {
            properties.extend(background(&arguments.look)?);
        } else if let Some(given) = background_option(&arguments.look) {
            let other = format!("--output {}", kind.name());
            return Err(Error::NoEffect { given, other });
        }
        properties.extend(matte(&arguments.look));
        properties.extend(inference(&arguments.inference));
        let settings = Self(properties);
        settings.apply(&element()?)?;
        Ok(settings)
    }

    /// An element with these settings, each frame of which waits for its own matte.
    ///
    /// # Errors
    /// [`Error::Setting`], [`Error::GStreamer`].
    pub fn element(&self, kind: Kind) -> Result<gst::Element, Error> {
        let element = element()?;
        element.set_property_from_str("pacing", "exact");
        element.set_property_from_str("output", kind.name());
        self.apply(&element)?;
        Ok(element)
    }

    /// The value that a property was given.
    fn find(&self, name: &str) -> Option<&Value> {
        self.0.iter().find_map(|(property, value)| (*property == name).then_some(value))
    }

    /// Whether the model looks at the part of a frame that holds everybody.
    pub fn follows(&self) -> bool {
        self.find("region").is_none_or(|region| region.show() != "frame")
    }

    /// Every how many frames the model runs.
    pub fn inference_interval(&self) -> u64 {
        let text = self.find("inference-interval").map(Value::show);
        text.and_then(|text| text.parse().ok()).unwrap_or(1).max(1)
    }

    /// Names and values, for comparing two runs.
    pub fn show(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.0.iter().map(|(name, value)| (*name, value.show()))
    }

    fn apply(&self, element: &gst::Element) -> Result<(), Error> {
        for (name, value) in &self.0 {
            let fail = |reason: String| Error::Setting {
                setting: format!("--{name}"),
                value: value.show(),
                reason,
            };
            let property = element.find_property(name).ok_or_else(|| {
                fail("the element has no such property; rebuild this program".into())
            })?;
            match value {
                Value::Path(path) => element.set_property_from_value(name, &path.to_value()),
                Value::Text(text) => {
                    let read = glib::Value::deserialize(text, property.value_type())
                        .map_err(|_| fail("that is not understood".into()))?;
                    if let Some(range) = misses(&property, &read) {
                        return Err(fail(format!("it is {range}")));
                    }
                    element.set_property_from_value(name, &read);
                }
            }
        }
        Ok(())
    }
}

fn element() -> Result<gst::Element, Error> {
    gst::ElementFactory::make("davidmatte")
        .build()
        .map_err(|error| Error::GStreamer(error.to_string()))
}

/// What a property allows, where a number is not among that.
fn misses(property: &glib::ParamSpec, value: &glib::Value) -> Option<String> {
    let (least, most, value) =
        if let Some(number) = property.downcast_ref::<glib::ParamSpecDouble>() {
            (number.minimum(), number.maximum(), value.get::<f64>().ok()?)
        } else if let Some(number) = property.downcast_ref::<glib::ParamSpecUInt>() {
            (number.minimum().into(), number.maximum().into(), value.get::<u32>().ok()?.into())
        } else if let Some(number) = property.downcast_ref::<glib::ParamSpecInt>() {
            (number.minimum().into(), number.maximum().into(), value.get::<i32>().ok()?.into())
        } else {
            return None;
        };
    (!(least..=most).contains(&value)).then(|| format!("from {least} to {most}"))
}

/// What is made of a frame: what was asked for, or what goes with the target and the background.
///
/// # Errors
/// [`Error::NoAlpha`] for a cut-out that could not be kept.
pub fn kind(arguments: &Arguments, target: &Target) -> Result<Kind, Error> {
    let holds_alpha = target.container().holds_alpha();
    let kind = arguments.output.unwrap_or_else(|| {
        match holds_alpha && background_option(&arguments.look).is_none() {
            true => Kind::Cutout,
            false => Kind::Composite,
        }
    });
    match kind {
        Kind::Cutout if !holds_alpha => Err(Error::NoAlpha { path: target.path() }),
        _ => Ok(kind),
    }
}

/// An option that only a composite heeds.
fn background_option(look: &Look) -> Option<&'static str> {
    [
        (look.background.is_some(), "--background"),
        (look.background_color.is_some(), "--background-color"),
        (look.background_image.is_some(), "--background-image"),
        (look.blur_radius.is_some(), "--blur-radius"),
    ]
    .into_iter()
    .find_map(|(given, name)| given.then_some(name))
}

fn text(value: impl ToString) -> Value {
    Value::Text(value.to_string())
}

/// The background, which its color, picture or radius alone stands for as well.
fn background(look: &Look) -> Result<Vec<(&'static str, Value)>, Error> {
    let own = [
        (look.background_color.is_some(), "--background-color", Background::Color),
        (look.background_image.is_some(), "--background-image", Background::Image),
        (look.blur_radius.is_some(), "--blur-radius", Background::Blur),
    ];
    let mut given = own.iter().filter(|(given, ..)| *given);
    let first = given.next();
    if let (Some(first), Some(second)) = (first, given.next()) {
        return Err(Error::NoEffect { given: first.1, other: second.1.into() });
    }
    let background = match (look.background, first) {
        (Some(background), Some((_, given, other))) if background != *other => {
            let other = format!("--background {}", background.name());
            return Err(Error::NoEffect { given, other });
        }
        (Some(Background::Image), None) => {
            return Err(Error::Setting {
                setting: "--background".into(),
                value: "image".into(),
                reason: "it needs --background-image FILE".into(),
            });
        }
        (Some(background), _) => background,
        (None, Some((_, _, background))) => *background,
        (None, None) => return Ok(Vec::new()),
    };
    let mut properties = vec![("background", text(background.name()))];
    properties.extend(look.background_color.map(|color| ("background-color", text(color))));
    let image = look.background_image.clone();
    properties.extend(image.map(|path| ("background-image", Value::Path(path))));
    properties.extend(look.blur_radius.map(|radius| ("blur-radius", text(radius))));
    Ok(properties)
}

fn matte(look: &Look) -> impl Iterator<Item = (&'static str, Value)> {
    [
        look.invert.then(|| ("invert", text(true))),
        look.threshold.map(|level| ("threshold", text(level))),
        look.edge_shift.map(|pixels| ("edge-shift", text(pixels))),
        look.feather.map(|pixels| ("feather", text(pixels))),
        look.temporal.map(|share| ("temporal", text(share))),
        look.decontaminate.map(|on| ("decontaminate", text(on))),
    ]
    .into_iter()
    .flatten()
}

fn inference(inference: &Inference) -> impl Iterator<Item = (&'static str, Value)> {
    [
        inference.model.clone().map(|model| ("model", Value::Path(model))),
        inference.device.as_ref().map(|device| ("device", text(device))),
        inference.device_id.map(|id| ("device-id", text(id))),
        inference.threads.map(|threads| ("threads", text(threads))),
        inference.region.as_ref().map(|region| ("region", text(region))),
        refine(inference).map(|refine| ("refine", text(refine))),
        inference.inference_interval.map(|frames| ("inference-interval", text(frames))),
    ]
    .into_iter()
    .flatten()
}

/// How edges are refined: as asked for, else by detail behind the built-in network, which gains by it on every clip that
/// was measured (docs/edges.md), and a file has the time. What other networks gain depends on them.
fn refine(inference: &Inference) -> Option<&str> {
    let is_builtin = inference.model.as_ref().is_none_or(|model| model.as_os_str() == "builtin");
    inference.refine.as_deref().or_else(|| is_builtin.then_some("detail"))
}

/// Whether two paths name the same file, as far as both exist.
pub fn same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
