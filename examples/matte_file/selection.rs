//! Which frames of an input are matted, and what their pictures are numbered.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use crate::arguments::Part;
use crate::error::Error;
use crate::survey::Survey;

/// The frames that are written, and those before them that are matted for their sake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The frames, counted from the input's first.
    pub frames: Range<u64>,
    /// Whether it is all of them.
    pub is_whole: bool,
    /// So many frames before them are matted, and not written.
    pub preroll: u64,
    /// What lies between the first of them and the first that is none of them; to the end where there is
    /// none.
    pub length: Option<Duration>,
    /// The number of the first one's picture.
    pub number: u64,
}

impl Selection {
    /// All frames of an input.
    pub fn whole(part: &Part) -> Self {
        Self {
            frames: 0..u64::MAX,
            is_whole: true,
            preroll: part.preroll,
            length: None,
            number: part.first,
        }
    }

    /// What the command line asks for of an input.
    ///
    /// # Errors
    /// [`Error::Range`] where there is no such part.
    pub fn new(part: &Part, input: &Path, survey: &Survey) -> Result<Self, Error> {
        let fail = |reason: String| Error::Range { path: input.to_owned(), reason };
        let times = survey.times_shown();
        let beyond = |first: u64, last: u64| {
            let frames = survey.frames - 1;
            fail(format!("its frames are 0 to {frames}, and {first} to {last} are asked for"))
        };
        let frames = match (&part.range, part.from, part.to) {
            (None, None, None) => return Ok(Self::whole(part)),
            (Some((first, last)), ..) => {
                let last = last.unwrap_or((survey.frames - 1).max(*first));
                if last >= survey.frames {
                    return Err(beyond(*first, last));
                }
                *first..last + 1
            }
            (None, from, to) => {
                if times.len() as u64 != survey.frames {
                    return Err(fail("its frames have no times; count them with --range".into()));
                }
                let at = |time: Duration| times.partition_point(|shown| *shown < time) as u64;
                from.map_or(0, at)..to.map_or(survey.frames, at)
            }
        };
        if frames.is_empty() {
            let lasts = times.last().map_or(0.0, Duration::as_secs_f64);
            return Err(fail(format!(
                "no frame lies there; the last of {} is at {lasts:.3} s",
                survey.frames
            )));
        }
        let at = |frame: u64| usize::try_from(frame).ok().and_then(|frame| times.get(frame));
        let ends = at(frames.start).zip(at(frames.end));
        Ok(Self {
            is_whole: frames == (0..survey.frames),
            preroll: part.preroll,
            length: ends.map(|(start, end)| *end - *start),
            number: part.first + frames.start,
            frames,
        })
    }

    /// How many frames they are, of an input of so many.
    pub fn count(&self, all: u64) -> u64 {
        self.frames.end.min(all).saturating_sub(self.frames.start)
    }

    /// The numbers of their pictures.
    pub fn numbers(&self) -> Range<u64> {
        match self.is_whole {
            true => 0..u64::MAX,
            false => self.number..self.number + (self.frames.end - self.frames.start),
        }
    }

    /// As it is noted of a run.
    pub fn show(&self) -> Option<String> {
        (!self.is_whole).then(|| format!("{}..{}", self.frames.start, self.frames.end - 1))
    }
}

/// `FIRST..LAST`, `FIRST..` or `..LAST`, of which the last is meant as well.
pub fn parse_range(text: &str) -> Result<(u64, Option<u64>), String> {
    let wrong =
        || "a range is FIRST..LAST, such as 100..199, and either may be left out".to_owned();
    let (first, last) = text.split_once("..").ok_or_else(wrong)?;
    let number = |text: &str, other| match text {
        "" => Ok(other),
        _ => text.parse().map(Some).map_err(|_| wrong()),
    };
    let (first, last) = (number(first, Some(0))?.unwrap_or(0), number(last, None)?);
    match last {
        Some(last) if last < first => Err(format!("{last} comes before {first}")),
        _ => Ok((first, last)),
    }
}

/// Seconds, or `MM:SS`, or `HH:MM:SS`; with decimals.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || "a time is seconds or HH:MM:SS, such as 75.5 or 1:15.5".to_owned();
    let mut seconds = 0.0;
    for (at, part) in text.split(':').enumerate() {
        let number: f64 = part.parse().map_err(|_| wrong())?;
        let is_last = at == text.matches(':').count();
        if at > 2 || !(0.0..1e7).contains(&number) || (!is_last && number.fract() != 0.0) {
            return Err(wrong());
        }
        seconds = 60.0 * seconds + number;
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_times_are_read() {
        assert_eq!(parse_range("100..199"), Ok((100, Some(199))));
        assert_eq!(parse_range("7.."), Ok((7, None)));
        assert_eq!(parse_range("..0"), Ok((0, Some(0))));
        for wrong in ["", "5", "5..4", "-1..3", "a..b", "1..2..3"] {
            assert!(parse_range(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_time("75.5"), Ok(Duration::from_millis(75_500)));
        assert_eq!(parse_time("1:15.5"), Ok(Duration::from_millis(75_500)));
        assert_eq!(parse_time("1:00:00"), Ok(Duration::from_secs(3600)));
        for wrong in ["", "-1", "1.5:00", "1:2:3:4", "nan", "inf", "x"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }
}
